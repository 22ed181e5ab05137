"""POST /api/services/initializeCompute: what a job on a dataset must pay, for ten minutes of the environment."""

import os
import time
from pathlib import Path

from cove.client import CoveClient, Signer
from cove.wire import InitializeCompute

request = InitializeCompute.model_validate(
    {
        "datasets": [{"documentId": os.environ["DATASET"], "serviceId": "0"}],
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
        "compute": {"env": "default", "validUntil": int(time.time()) + 600},
    }
)
signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    quote = cove.initialize_compute(request)
print(quote.model_dump_json(indent=4, exclude_none=True))
