"""GET /api/services/reviews: what waits for a reviewer, and by which line of the policy it is held."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
job, nonce = os.environ["JOB"], str(time.time_ns() // 1_000_000)
asked = {"consumerAddress": signer.address, "nonce": nonce, "jobId": job}
asked["signature"] = signer.sign(f"{signer.address}reviews{job}{nonce}")
for review in httpx2.get(f"{os.environ['COVE_URL']}/api/services/reviews", params=asked).raise_for_status().json():
    for file in review["files"]:
        print(review["state"], file["path"], file["reason"], file["rule"])
        print(file["matches"][0]["rows"], "rows, such as", *file["matches"][0]["examples"])
        print(file["preview"]["text"], end="")
