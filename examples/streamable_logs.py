"""GET /api/services/computeStreamableLogs: a job's log as plain text, until it ends."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
nonce = str(time.time_ns() // 1_000_000)
query = {
    "jobId": os.environ["JOB"],
    "consumerAddress": signer.address,
    "nonce": nonce,
    "signature": signer.sign(f"{signer.address}{nonce}getComputeStreamableLogs"),
}
url = f"{os.environ['COVE_URL']}/api/services/computeStreamableLogs"
with httpx2.stream("GET", url, params=query) as answer:
    answer.raise_for_status()
    for text in answer.iter_text():
        print(text, end="")
