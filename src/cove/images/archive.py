"""Images of this host: an OCI layout, as a folder or a tar, or what ``docker save`` writes."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

from cove.core.errors import ImageRefused
from cove.core.image_names import Reference, is_digest
from cove.core.images import INDEX_TYPES, MAX_DOCUMENT_BYTES, Descriptor, Index, Manifest, parse_config, parse_manifest
from cove.images.origins import Located, Stopped, fitting, locate
from cove.images.streams import PIECE_BYTES

_MAX_MEMBERS: Final = 100_000
_DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file of the archive lies."""

    path: str
    offset: int
    size: int


class Archive:
    """An archive of this host that the owner named. Blocking.

    Args:
        path: The folder or file.
        reference: The image that is wanted of it, where it holds several.
        stop: When set, what is under way ends with ``Stopped``.

    Raises:
        ImageRefused: It is no such archive.
    """

    def __init__(self, path: Path, reference: Reference, stop: Event) -> None:
        self._reference = reference
        self._stop = stop
        try:
            self._places = _of_folder(path) if path.is_dir() else _of_tar(path)
        except (OSError, tarfile.TarError):
            raise _unusable("cannot be read as a tar, or is compressed: unpack it once, or save it again") from None
        #: The one document that is no blob: an index of several platforms.
        self._index: tuple[str, bytes] = ("", b"")

    def locate(self, platform: str, checksum: str) -> Located:  # noqa: ARG002 - there is one image to choose from
        """Find the image that is wanted.

        Raises:
            ImageRefused: It is not in the archive, or cannot be run here.
        """
        if "index.json" in self._places:
            return locate(self, self._wanted_of_index(), platform)
        if "manifest.json" in self._places:
            return self._located_of_docker(platform)
        raise _unusable("is neither an OCI layout nor what docker save writes")

    def document(self, name: str) -> tuple[bytes, str, str]:
        """Give a manifest or an index by digest: its bytes, its media type, its digest."""
        if name == self._index[0]:
            return self._index[1], INDEX_TYPES[0], name
        content = self._read(_blob(name))
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != name:
            raise _unusable("has a part that is not what its digest says")
        return content, "", name

    def blob(self, descriptor: Descriptor) -> bytes:
        """Give a small blob whole, checked against its digest."""
        return self.document(descriptor.digest)[0]

    def layer(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Give a layer's bytes, not checked."""
        place = self._place(descriptor.names[0] if descriptor.names else _blob(descriptor.digest))
        with open(place.path, "rb", buffering=0) as file:  # noqa: PTH123 - the owner's own path
            file.seek(place.offset)
            left = place.size
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                if self._stop.is_set():
                    raise Stopped
                left -= len(piece)
                yield piece

    def close(self) -> None:
        """Nothing is held."""

    def _wanted_of_index(self) -> str:
        content = self._read("index.json")
        found = parse_manifest(content, INDEX_TYPES[0])
        entries = found.manifests if isinstance(found, Index) else ()
        if len(entries) > 1 and not all(entry.platform for entry in entries):
            named = [entry for entry in entries if self._means(entry.names)]
            if len(named) != 1:
                raise self._none_of([name for entry in entries for name in entry.names])
            entries = (named[0],)
        if len(entries) == 1:
            return entries[0].digest
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._index = (digest, content)
        return digest

    def _located_of_docker(self, platform: str) -> Located:
        """Find an image that has no manifest of its own: its configuration's digest is what Docker knows it by."""
        entries = self._json("manifest.json")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise _unusable("has a manifest that is not as docker save writes it")
        wanted = entries if len(entries) == 1 else [e for e in entries if self._means(tuple(e.get("RepoTags") or ()))]
        if len(wanted) != 1:
            raise self._none_of([name for entry in entries for name in entry.get("RepoTags") or ()])
        config, layers = wanted[0].get("Config"), wanted[0].get("Layers")
        if not isinstance(config, str) or not isinstance(layers, list):
            raise _unusable("has a manifest that is not as docker save writes it")
        content = self._read(config)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        manifest = Manifest(
            Descriptor(_DOCKER_CONFIG, digest, len(content)),
            tuple(Descriptor(_DOCKER_LAYER, "", self._place(name).size, names=(name,)) for name in layers),
        )
        return Located(digest, frozenset({digest}), manifest, fitting(parse_config(content), manifest, platform))

    def _means(self, names: tuple[str, ...]) -> bool:
        return bool({*names} & {*self._reference.spellings(), self._reference.tag})

    def _none_of(self, names: list[str]) -> ImageRefused:
        there = ", ".join(names[:10]) or "images without names"
        return _unusable(f"has no image {self._reference} but {there}")

    def _place(self, name: object) -> _Place:
        place = self._places.get(posixpath.normpath(name)) if isinstance(name, str) else None
        if place is None:
            raise _unusable("is incomplete: a part that it names is not in it")
        return place

    def _read(self, name: str) -> bytes:
        place = self._place(name)
        if place.size > MAX_DOCUMENT_BYTES:
            raise _unusable("has a document that is too large")
        with open(place.path, "rb") as file:  # noqa: PTH123 - the owner's own path
            file.seek(place.offset)
            return file.read(place.size)

    def _json(self, name: str) -> Any:  # noqa: ANN401 - JSON
        try:
            return json.loads(self._read(name))
        except (ValueError, RecursionError):
            raise _unusable("has a document that is not JSON") from None


def _blob(digest: str) -> str:
    if not is_digest(digest):
        raise _unusable("is incomplete: a part that it names is not in it")
    return "blobs/" + digest.replace(":", "/")


def _of_folder(folder: Path) -> dict[str, _Place]:
    found = {}
    for place in (*folder.glob("*.json"), *folder.glob("blobs/sha256/*")):
        facts = os.lstat(place)
        if stat.S_ISREG(facts.st_mode):
            found[str(place.relative_to(folder))] = _Place(str(place), 0, facts.st_size)
    return found


def _of_tar(path: Path) -> dict[str, _Place]:
    found: dict[str, _Place] = {}
    links: dict[str, str] = {}
    with tarfile.open(path, "r:") as archive:
        for number, member in enumerate(archive):
            if number > _MAX_MEMBERS:
                raise _unusable("has too many parts")
            name = posixpath.normpath(member.name)
            if member.isreg() and not member.issparse():
                found[name] = _Place(str(path), member.offset_data, member.size)
            elif member.issym():  # how older versions of docker save write a layer that they wrote before
                links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    return {**{name: found[target] for name, target in links.items() if target in found}, **found}


def _unusable(what: str) -> ImageRefused:
    return ImageRefused(f"The archive of this image {what}.", hint="Tell the provider.")
