"""POST /api/services/compute: code of your own on a dataset that you ordered; then wait for its end."""

import os
from pathlib import Path

from cove.client import CoveClient, Signer
from cove.wire import StartCompute

request = StartCompute.model_validate(
    {
        "environment": "default",
        "dataset": {
            "documentId": os.environ["DATASET"],
            "serviceId": "0",
            "transferTxId": os.environ["DATASET_ORDER"],
        },
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
    }
)
signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    job = cove.start(request)
    print(job.jobId, job.status, job.statusText)
    *_, ended = cove.watch(job.jobId)
    print(ended.status, ended.statusText)
    for result in cove.results(ended):
        print(result.index, result.type, result.filename, result.filesize)
