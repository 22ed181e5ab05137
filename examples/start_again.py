"""POST /api/services/compute: a job that has ended, once more under its id."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    job = cove.restart(os.environ["JOB"])
    print(job.jobId, "attempt", job.attempt)
