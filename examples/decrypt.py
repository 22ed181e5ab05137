"""POST /api/services/decrypt: a DDO that was published encrypted, in clear."""

import json
import os
from pathlib import Path

from cove.client import CoveClient, Signer
from cove.wire import DecryptRequest

signer = Signer.from_file(Path(os.environ["COVE_ACCOUNT_KEY_FILE"]))
request = DecryptRequest(
    chainId=os.environ["CHAIN"], dataNftAddress=os.environ["NFT"], transactionId=os.environ["PUBLISHED"]
)
with CoveClient(os.environ["COVE_URL"], signer) as cove:
    ddo = json.loads(cove.decrypt(request))
print(ddo["id"], ddo["metadata"]["name"])
