"""What was kept of datasets goes when they do."""

from __future__ import annotations

from collections.abc import Sequence

from cove.core.asset import NFT_ENDED_STATES
from cove.core.errors import NotFound, Unavailable
from cove.jobs.orders import asset_of_any
from cove.ports import Inspector, MetadataStore


async def forget_deleted(inspector: Inspector, stores: Sequence[MetadataStore]) -> dict[str, int]:
    """Remove the indexes of datasets that are not published any more.

    What cannot be known now is left for another time.

    Args:
        inspector: Keeps the indexes.
        stores: Know what is published.

    Returns:
        The number of removed indexes by DID.
    """
    removed: dict[str, int] = {}
    for did in await inspector.datasets():
        try:
            gone = (await asset_of_any(stores, did)).state in NFT_ENDED_STATES
        except NotFound:
            gone = True
        except Unavailable:
            continue
        if gone:
            removed[did] = await inspector.forget(did)
    return removed
