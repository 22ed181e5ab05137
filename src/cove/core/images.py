"""What an image's documents say: manifests, indexes and configurations of OCI and of Docker's second version."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.errors import ImageRefused
from cove.core.image_names import is_digest

MAX_DOCUMENT_BYTES: Final = 8 << 20
"""Of a manifest, an index or a configuration."""

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIG_TYPES: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYER_TYPE: Final = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)"
)
_FIRST_VERSION: Final = re.compile(r"application/vnd\.docker\.distribution\.manifest\.v1\+(prettyjws|json)")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_ARCHITECTURES: Final = {
    "x86_64": "linux/amd64",
    "aarch64": "linux/arm64",
    "armv7l": "linux/arm/v7",
    "ppc64le": "linux/ppc64le",
    "s390x": "linux/s390x",
    "riscv64": "linux/riscv64",
}
_REF_NAME: Final = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME: Final = "io.containerd.image.name"
_MAX_LAYERS: Final = 512
_MAX_WORDS: Final = 2000


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a document says of another one, or of a layer."""

    media_type: str
    #: ``sha256:<hex>``; empty only for a layer of an archive that states none.
    digest: str
    #: Bytes.
    size: int
    #: ``linux/amd64`` or ``linux/arm/v7``; empty where the document does not say.
    platform: str = ""
    #: The names that an archive gives it.
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Index:
    """The images of several platforms behind one name, or all images of an archive."""

    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is made of; the lowest layer first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about its layers and about running it."""

    #: ``sha256:<hex>`` of each layer's tar, the lowest first.
    diff_ids: tuple[str, ...]
    #: ``linux/amd64``; empty where it does not say.
    platform: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    #: Absolute and normal; ``/`` where the image has none.
    working_directory: str = "/"


def platform_of(machine: str) -> str:
    """Name this machine as images do.

    Args:
        machine: As ``uname -m`` says it.
    """
    return _ARCHITECTURES.get(machine, f"linux/{machine}")


def parse_manifest(content: bytes, media_type: str = "") -> Index | Manifest:
    """Read what a registry gives for a name.

    Args:
        content: The document.
        media_type: What the registry says it is; the document's own word wins.

    Raises:
        ImageRefused: It is no image that can be run here.
    """
    document = _object(content, "manifest")
    kind = _text(document.get("mediaType")) or media_type.partition(";")[0].strip()
    if _FIRST_VERSION.fullmatch(kind) or document.get("schemaVersion") == 1:
        raise ImageRefused("The image is in Docker's first format, which no registry keeps: push it again.")
    if kind in INDEX_TYPES or (not kind and "manifests" in document):
        return Index(tuple(map(_descriptor, _list(document.get("manifests"), "manifests"))))
    if kind and kind not in MANIFEST_TYPES:
        raise ImageRefused(f"The name leads to something of type {kind[:100]!r}, which is no image.")
    config = _descriptor(document.get("config"))
    if config.media_type not in _CONFIG_TYPES:
        raise ImageRefused(f"The name leads to an artefact ({config.media_type[:100]!r}), not to an image.")
    layers = tuple(map(_descriptor, _list(document.get("layers"), "layers")))
    for layer in layers:
        if _LAYER_TYPE.fullmatch(layer.media_type) is None:
            raise ImageRefused(f"The image has a layer of type {layer.media_type[:100]!r}, which cannot be unpacked.")
    if len(layers) > _MAX_LAYERS:
        raise ImageRefused(f"The image has {len(layers)} layers; there may be {_MAX_LAYERS}.")
    return Manifest(config, layers)


def choose(index: Index, platform: str) -> Descriptor:
    """Give the image of a platform.

    Args:
        index: What a name stands for.
        platform: As :func:`platform_of` gives it.

    Raises:
        ImageRefused: There is none.
    """
    images = [entry for entry in index.manifests if entry.media_type in (*MANIFEST_TYPES, "")]
    for entry in images:
        if same_platform(entry.platform, platform):
            return entry
    if len(images) == 1 and not images[0].platform:
        return images[0]
    there = ", ".join(sorted({entry.platform for entry in images if entry.platform})[:10]) or "none"
    raise ImageRefused(f"The image is not made for {platform}, which this provider has; it is made for: {there}.")


def same_platform(stated: str, ours: str) -> bool:
    """Say whether an image of a platform runs on ours; every arm64 has the same variant."""
    return stated.removesuffix("/v8") == ours


def parse_config(content: bytes) -> ImageConfig:
    """Read an image's configuration.

    Raises:
        ImageRefused: It is none, or has what no program can be given.
    """
    document = _object(content, "configuration")
    rootfs = document.get("rootfs")
    diff_ids = _words(rootfs.get("diff_ids") if isinstance(rootfs, dict) else None, "rootfs.diff_ids")
    if not all(map(is_digest, diff_ids)):
        raise ImageRefused("The image's configuration names a layer by something that is no sha256 digest.")
    run = document.get("config")
    run = run if isinstance(run, dict) else {}
    folder = _text(run.get("WorkingDir")) or "/"
    return ImageConfig(
        diff_ids=diff_ids,
        platform=_platform(document),
        environment=_environment(_words(run.get("Env"), "Env")),
        entrypoint=_words(run.get("Entrypoint"), "Entrypoint"),
        command=_words(run.get("Cmd"), "Cmd"),
        working_directory="/" + posixpath.normpath(f"/{folder}").strip("/"),
    )


def _object(content: bytes, name: str) -> dict[str, Any]:
    if len(content) > MAX_DOCUMENT_BYTES:
        raise ImageRefused(f"The image's {name} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ImageRefused(f"The image's {name} is not JSON.") from None
    if not isinstance(document, dict):
        raise ImageRefused(f"The image's {name} is not a JSON object.")
    return document


def _descriptor(given: object) -> Descriptor:
    if not isinstance(given, Mapping):
        raise ImageRefused("The image's manifest is incomplete.")
    digest, size = _text(given.get("digest")), given.get("size")
    if not is_digest(digest):
        raise ImageRefused("The image's manifest names a part by something that is no sha256 digest.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageRefused("The image's manifest does not say how large a part of it is.")
    platform = given.get("platform")
    annotations = given.get("annotations")
    names = annotations if isinstance(annotations, Mapping) else {}
    return Descriptor(
        _text(given.get("mediaType")),
        digest,
        size,
        _platform(platform) if isinstance(platform, Mapping) else "",
        tuple(name for key in (_CONTAINERD_NAME, _REF_NAME) if (name := _text(names.get(key)))),
    )


def _platform(given: Mapping[str, Any]) -> str:
    parts = [_text(given.get(key)) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part)


def _list(given: object, name: str) -> Sequence[object]:
    if not isinstance(given, list):
        raise ImageRefused(f"The image's manifest has no {name}.")
    return given


def _words(given: object, name: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not all(map(is_text, given)):
        raise ImageRefused(f"The image's configuration has a {name} that is no list of texts.")
    if len(given) > _MAX_WORDS:
        raise ImageRefused(f"The image's configuration has a {name} of more than {_MAX_WORDS} entries.")
    return tuple(given)


def _environment(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = (entry.partition("=") for entry in given)
    return tuple((name, value) for name, _, value in pairs if _VARIABLE.fullmatch(name))


def _text(given: object) -> str:
    return given if isinstance(given, str) and is_text(given) else ""


def is_text(given: object) -> bool:
    """Say whether something is a text that programs and files can be given."""
    if not isinstance(given, str) or "\0" in given:
        return False
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True
