"""GET /api/services/download: a file that you ordered, signed by hand with any HTTP library."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
did, nonce = os.environ["TABLE"], str(time.time_ns() // 1_000_000)
query = {
    "documentId": did,
    "serviceId": "0",
    "fileIndex": "0",
    "transferTxId": os.environ["TABLE_ORDER"],
    "consumerAddress": signer.address,
    "nonce": nonce,
    "signature": signer.sign(f"{did}{nonce}"),
}
answer = httpx2.get(f"{os.environ['COVE_URL']}/api/services/download", params=query)
answer.raise_for_status()
print(answer.headers["Content-Disposition"])
print(answer.text, end="")
