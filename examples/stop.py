"""PUT /api/services/compute: end a job before its time; what it wrote so far is kept."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    (job,) = cove.stop(os.environ["JOB"])
    print(job.jobId, "stopreq", job.stopreq)
    *_, ended = cove.watch(job.jobId)
    print(ended.status, ended.statusText)
