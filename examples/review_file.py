"""GET /api/services/reviewFile: one held file, for reviewers."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
job, file, nonce = os.environ["JOB"], os.environ["FILE"], str(time.time_ns() // 1_000_000)
asked = {"consumerAddress": signer.address, "nonce": nonce, "jobId": job, "file": file}
asked["signature"] = signer.sign(f"{signer.address}reviews{job}{file}{nonce}")
answer = httpx2.get(f"{os.environ['COVE_URL']}/api/services/reviewFile", params=asked).raise_for_status()
print(answer.content.decode(), end="")
