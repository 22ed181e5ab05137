"""What of a job's results becomes an asset, and what the asset says of where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cove.core.job import Job, Outcome, Package, ResultFile
from cove.core.output import AssetWish
from cove.core.output_form import PROVENANCE
from cove.core.policy import ALGORITHM_LOG, OUTPUT
from cove.core.receipt import TYPE as RECEIPT
from cove.core.receipt import algorithm_of, job_digest

_INFORMATION = "additionalInformation"


def files_of(job: Job, wish: AssetWish) -> tuple[ResultFile, ...]:
    """Give the stored results that are an asset's files, in its order; none where there is no result to publish.

    Args:
        job: In DONE. Only what was released is among its results.
        wish: What its consumer wants.
    """
    outputs = tuple(one for one in job.results if one.type == OUTPUT and one.key)
    if job.outcome is not Outcome.SUCCEEDED or not outputs:
        return ()
    return (*outputs, *(one for one in job.results if wish.with_log and one.type == ALGORITHM_LOG))


def file_object(index: int, result: ResultFile) -> Mapping[str, object]:
    """Give the entry of an asset's file list for one of its results."""
    name = result.filename.encode("utf-8", "replace").decode().rpartition("/")[2]
    return {"type": "result", "index": index, "filename": name}


def metadata_of(wish: AssetWish, job: Job, package: Package, provider: str) -> dict[str, Any]:
    """Give the members of an asset's metadata: what its consumer says, and where its files come from.

    The job is named as receipts name it, by a digest: its id would show its status to everybody.

    Args:
        wish: What its consumer wants.
        job: In DONE.
        package: The job's.
        provider: The provider's account.
    """
    given: dict[str, Any] = json.loads(wish.metadata)
    receipt = next((one.sha256 for one in job.results if one.type == RECEIPT), None)
    finished = datetime.fromtimestamp(job.finished_at or 0.0, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    provenance = {
        "provider": provider,
        "job": job_digest(job),
        "attempt": job.attempt,
        "finished": finished,
        "inputs": [{"did": one.did, "serviceId": one.service_id} for one in package.datasets],
        "algorithm": algorithm_of(job, package.rawcode),
        "container": {"image": package.container.reference, "digest": job.image_digest or package.container.checksum},
        "receipt": receipt,
    }
    return given | {_INFORMATION: {**given.get(_INFORMATION, {}), PROVENANCE: provenance}}
