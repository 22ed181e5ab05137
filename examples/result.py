"""GET /api/services/computeResult: the outputs of a job; cove.download brings large ones into a file."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    for result in cove.results(os.environ["JOB"]):
        if result.filename == "mean.json":
            print(cove.read_result(os.environ["JOB"], result.index).decode())
