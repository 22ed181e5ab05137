"""GET /api/services/computeLogs: what a job writes: as it writes it where that is shown live, else at its end."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    for text in cove.follow_log(os.environ["JOB"]):
        print(text, end="")
