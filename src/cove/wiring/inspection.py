"""What compares outputs with inputs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cove import leaks
from cove.core.errors import CoveError
from cove.crypto.box import KeyVault
from cove.jobs.forgetting import forget_deleted
from cove.ports import Inspector, MetadataStore
from cove.settings import Settings

log = logging.getLogger(__name__)

_FORGET_SECONDS: Final = 600


def open_inspector(settings: Settings, folder: Path, vault: KeyVault) -> Inspector:
    """Give the inspector; the caller closes it.

    Args:
        settings: The owner's.
        folder: Where it keeps indexes.
        vault: Whose key makes them useless to others.
    """
    limits = leaks.LeakLimits(
        memory=settings.leaks.memory, seconds=settings.leaks.seconds, cache_bytes=settings.leaks.keep_total
    )
    return leaks.open_inspector(folder, vault.derive(b"leak check"), limits)


async def keep_forgetting(inspector: Inspector, stores: Sequence[MetadataStore]) -> None:
    """Remove the indexes of deleted datasets, at once and then every ten minutes, until cancelled."""
    while True:
        try:
            for did, count in (await forget_deleted(inspector, stores)).items():
                log.info("%s is not published any more: %d of its indexes are removed", did, count)
        except (CoveError, OSError) as problem:
            log.warning("indexes of deleted datasets could not be looked for: %s", problem)
        await asyncio.sleep(_FORGET_SECONDS)
