"""POST /api/services/reviewVote: say that a held file may leave, or not, and why."""

import os
import time
from pathlib import Path

import httpx2

from cove.client import Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
job, file, sha256 = os.environ["JOB"], os.environ["FILE"], os.environ["SHA256"]
nonce, decision, reason = str(time.time_ns() // 1_000_000), "reject", "These are two patients."
text = f"{signer.address}reviewVote{job}{file}{sha256}{decision}{reason}\n{nonce}"
body = {
    "consumerAddress": signer.address,
    "nonce": nonce,
    "signature": signer.sign(text),
    "jobId": job,
    "file": file,
    "sha256": sha256,
    "decision": decision,
    "reason": reason,
}
review = httpx2.post(f"{os.environ['COVE_URL']}/api/services/reviewVote", json=body).raise_for_status().json()
print(review["state"], *[(file["path"], file["decision"]) for file in review["files"]])
