"""Images that are unpacked on this host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cove.core.images import ImageConfig
from cove.core.job import Container


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What stands behind an image name in the owner's settings."""

    #: ``host``: a read-only view of this host's /usr; ``rootfs``: a folder; ``archive``: an archive or OCI layout;
    #: ``registry``: what the name says.
    kind: str
    #: The folder, the archive, or the name that the nodes of a cluster pull; None for ``host``, and where that is the
    #: name which the DDO states.
    path: str | None = None
    #: ``sha256:..`` that a DDO must state; empty takes any, but for an archive, whose own digest it is then.
    checksum: str = ""


class Preparation(Protocol):
    """What is told how far the getting of an image is."""

    bytes_done: int
    #: None while it is not known.
    bytes_total: int | None
    #: For people, what is done just now: one line, without secrets.
    doing: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is unpacked here."""

    #: ``sha256:<hex>`` of its manifest, or of its configuration where an archive has no manifest.
    digest: str
    #: Folder of its files: readable by everybody who may enter it, nothing set-id, no devices.
    root: Path
    config: ImageConfig
    #: Bytes of its layers' tars.
    size: int = 0
    #: The full names that it was brought under.
    names: tuple[str, ...] = ()
    #: Unix time of the last job that asked for it.
    used_at: float = 0.0
    #: True while a job under way needs it.
    in_use: bool = field(default=False, compare=False)


class ImageStore(Protocol):
    """Keeps unpacked images, each once, for all jobs and for every process that uses the same folder."""

    async def prepare(self, source: ImageSource, container: Container, progress: Preparation) -> Image:
        """Have an image here; soon when it is here already.

        Cancelling the call ends the getting of it, unless others wait for the same, and leaves nothing half done.

        Args:
            source: Of kind ``archive`` or ``registry``.
            container: What a DDO names, with the consumer's own login where there is one.
            progress: Is told how far it is.

        Raises:
            ImageRefused: There is no such image, it is not the consumer's to use, is not what the DDO's checksum says,
                or cannot be unpacked.
            ImagePullFailed: Its registry did not answer.
            NoSpace: The disk is full; nothing is left of it.
        """
        ...

    def get(self, digest: str) -> Image | None:
        """Give an image that was made ready earlier; None when it is not here any more. A few file system calls."""
        ...

    async def images(self) -> Sequence[Image]:
        """List what is here, the last used first."""
        ...

    async def remove(self, digest: str) -> bool:
        """Remove an image unless a job needs it; say whether it is gone."""
        ...

    async def clean(self) -> Sequence[Image]:
        """Remove what is too old or too much by the owner's settings, and what a killed process left; say what went.

        Never what a job needs.
        """
        ...
