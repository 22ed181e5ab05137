"""DELETE /api/services/compute: a job with everything of it."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    (job,) = cove.delete(os.environ["JOB"])
    print(job.jobId, "removed", job.removed)
    print(cove.status(job.jobId))
