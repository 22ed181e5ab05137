"""Where an image comes from, as the store sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cove.core.errors import ImageRefused
from cove.core.images import Descriptor, ImageConfig, Manifest, choose, parse_config, parse_manifest, same_platform


class Stopped(Exception):
    """Nobody wants the image any more."""


@dataclass(frozen=True, slots=True)
class Located:
    """An image that was found, before anything large of it is brought."""

    #: ``sha256:<hex>``: what it is kept under.
    digest: str
    #: Every digest by which a DDO may name it: its own, and that of the index which holds it.
    known_as: frozenset[str]
    manifest: Manifest
    config: ImageConfig

    @property
    def size(self) -> int:
        """Give the bytes that have to be brought."""
        return sum(layer.size for layer in self.manifest.layers)


class Origin(Protocol):
    """A registry, or an archive of this host. Blocking; layers are read by several threads."""

    def locate(self, platform: str, checksum: str) -> Located:
        """Find the image; ``checksum`` is what a DDO states, empty where it states none."""
        ...

    def layer(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Give a layer's bytes, not checked."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Documents(Protocol):
    """What has manifests and small blobs."""

    def document(self, name: str) -> tuple[bytes, str, str]:
        """Give a manifest or an index by tag or digest: its bytes, its media type, its digest."""
        ...

    def blob(self, descriptor: Descriptor) -> bytes:
        """Give a small blob whole, checked against its digest."""
        ...


def locate(origin: Documents, name: str, platform: str) -> Located:
    """Find the image that a tag or digest stands for on a platform.

    Raises:
        ImageRefused: There is none, or it cannot be run here.
    """
    content, media_type, digest = origin.document(name)
    known_as = {digest}
    found = parse_manifest(content, media_type)
    if not isinstance(found, Manifest):
        content, media_type, digest = origin.document(choose(found, platform).digest)
        known_as.add(digest)
        found = parse_manifest(content, media_type)
        if not isinstance(found, Manifest):
            raise ImageRefused("The image's name leads to a list of lists, which stands for no image.")
    config = parse_config(origin.blob(found.config))
    return Located(digest, frozenset(known_as), found, fitting(config, found, platform))


def fitting(config: ImageConfig, manifest: Manifest, platform: str) -> ImageConfig:
    """Give a configuration that is this manifest's, and this platform's.

    Raises:
        ImageRefused: It is not.
    """
    if len(config.diff_ids) != len(manifest.layers):
        raise ImageRefused("The image's configuration and its manifest do not have the same layers.")
    if config.platform and not same_platform(config.platform, platform):
        raise ImageRefused(f"The image is made for {config.platform}, and this provider has {platform}.")
    return config
