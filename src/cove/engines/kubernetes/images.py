"""Which image a name stands for on the cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cove.core.errors import ImageRefused
from cove.core.job import Container
from cove.ports import ImageSource

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def reference(table: Mapping[str, ImageSource], container: Container) -> str:
    """Give what the nodes pull: by its digest where there is one, whatever its tag points to by now.

    Args:
        table: The owner's images.
        container: What the algorithm asks for.

    Raises:
        ImageRefused: The table has no such image, or has it with another checksum.
    """
    source = table.get(container.reference) or table.get(container.image)
    if source is None or source.kind in {"host", "rootfs"}:
        raise ImageRefused(
            f"The image {container.reference} is not one of this environment's.", hint="computeEnvironments lists them."
        )
    if source.checksum and source.checksum != container.checksum:
        raise ImageRefused(f"The image {container.reference} has another checksum here than the algorithm states.")
    if source.path:
        return source.path
    digest = container.digest or container.checksum
    return f"{container.image}@{digest}" if _DIGEST.fullmatch(digest) else container.reference
