"""POST /api/services/auth/token: a token that stands for your signature and its nonce for a day."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
nonce = str(time.time_ns() // 1_000_000)
body = {
    "address": signer.address,
    "nonce": nonce,
    "signature": signer.sign(f"{signer.address}{nonce}createAuthToken"),
}
answer = httpx2.post(f"{os.environ['COVE_URL']}/api/services/auth/token", json=body)
answer.raise_for_status()
print(answer.json()["token"])
