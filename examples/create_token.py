"""GET /api/services/createAuthToken: a token that stands for your signature for an hour."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
nonce = str(time.time_ns() // 1_000_000)
query = {
    "address": signer.address,
    "nonce": nonce,
    "expiration": str(int(time.time()) + 3600),
    "signature": signer.sign(f"{signer.address}{nonce}"),
}
answer = httpx2.get(f"{os.environ['COVE_URL']}/api/services/createAuthToken", params=query)
answer.raise_for_status()
print(answer.json()["token"])
