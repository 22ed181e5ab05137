"""POST /api/services/freeCompute: code of your own on an ordered dataset, without payment for where it runs."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
nonce = str(time.time_ns() // 1_000_000)
body = {
    "consumerAddress": signer.address,
    "nonce": nonce,
    "signature": signer.sign(f"{signer.address}{nonce}freeStartCompute"),
    "environment": "default",
    "datasets": [
        {
            "documentId": os.environ["DATASET"],
            "serviceId": "0",
            "transferTxId": os.environ["DATASET_ORDER"],
        }
    ],
    "algorithm": {
        "meta": {
            "rawcode": Path("algorithm.py").read_text(),
            "container": {
                "entrypoint": "python3 $ALGO",
                "image": "cove/host",
                "checksum": "sha256:" + "0" * 64,
            },
        }
    },
    "resources": [{"id": "ram", "amount": 0.25}],
    "metadata": {"name": "the mean of a column"},
}
answer = httpx2.post(f"{os.environ['COVE_URL']}/api/services/freeCompute", json=body)
answer.raise_for_status()
(job,) = answer.json()
print(job["jobId"], job["status"], job["statusText"])
print(job["metadata"], "free:", job["isFree"], "seconds:", job["maxJobDuration"])
for one in job["resources"]:
    print(one["id"], one["amount"])
