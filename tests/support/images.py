"""Small images made by hand: layers, configurations and manifests as registries and archives hold them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cove.core.images import platform_of

BUSYBOX = Path("/bin/busybox")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
PLATFORM = platform_of(os.uname().machine)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar_of(entries: Sequence[tarfile.TarInfo | tuple[str, bytes] | tuple[str, bytes, int]]) -> bytes:
    """Write a layer: entries as they are, or name and content, or name, content and mode."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry, io.BytesIO(b"x" * entry.size))
                continue
            info = tarfile.TarInfo(entry[0])
            info.size, info.mode = len(entry[1]), entry[2] if len(entry) > 2 else 0o644
            tar.addfile(info, io.BytesIO(entry[1]))
    return made.getvalue()


def an_entry(name: str, kind: bytes, link: str = "", **changes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def busybox(commands: Sequence[str] = ("sh", "cat", "echo", "id", "ls", "env", "pwd", "touch")) -> bytes:
    """Write a layer with a shell and a few commands."""
    folders = [an_entry(name, tarfile.DIRTYPE, mode=0o755) for name in ("bin", "etc", "tmp", "root")]
    links = [an_entry(f"bin/{name}", tarfile.SYMTYPE, "busybox") for name in commands]
    return tar_of([*folders, ("bin/busybox", BUSYBOX.read_bytes(), 0o755), *links])


@dataclass
class MadeImage:
    """An image with all its blobs."""

    manifest: bytes
    blobs: dict[str, bytes]
    media_type: str = OCI_MANIFEST

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def an_image(
    *layers: bytes,
    run: Mapping[str, Any] | None = None,
    compress: Any = gzip.compress,
    suffix: str = "+gzip",
    platform: str = PLATFORM,
    diff_ids: Sequence[str] | None = None,
) -> MadeImage:
    """Make an image of layers' tars.

    Args:
        layers: The lowest first.
        run: ``config`` of its configuration.
        compress: What is done to a layer's tar.
        suffix: What the layers' media type says of it.
        platform: Of the configuration.
        diff_ids: None: the right ones.
    """
    system, _, architecture = platform.partition("/")
    config = json.dumps(
        {
            "architecture": architecture,
            "os": system,
            "config": dict(run or {}),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids or map(digest_of, layers))},
        }
    ).encode()
    packed = [compress(layer) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": OCI_LAYER + suffix, "digest": digest_of(layer), "size": len(layer)} for layer in packed
        ],
    }
    return MadeImage(json.dumps(manifest).encode(), {digest_of(blob): blob for blob in (config, *packed)})


def an_index(*images: tuple[MadeImage, str]) -> MadeImage:
    """Make an index of images by platform."""
    entries = []
    for image, platform in images:
        system, _, architecture = platform.partition("/")
        entries.append(
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(image.manifest),
                "platform": {"os": system, "architecture": architecture},
            }
        )
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    return MadeImage(content, {}, OCI_INDEX)


def write_layout(folder: Path, *images: tuple[MadeImage, str]) -> Path:
    """Write an OCI layout of images by name."""
    (folder / "blobs/sha256").mkdir(parents=True)
    entries = []
    for image, name in images:
        for digest, blob in {**image.blobs, image.digest: image.manifest}.items():
            (folder / "blobs" / digest.replace(":", "/")).write_bytes(blob)
        annotations = {"org.opencontainers.image.ref.name": name}
        entries.append(
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(image.manifest),
                "annotations": annotations,
            }
        )
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return folder


@dataclass
class RunningRegistry:
    """A registry that runs on this host."""

    #: ``127.0.0.1:port``.
    host: str
    #: Folder of what it stores.
    folder: Path
    login: tuple[str, str] | None = None
    _http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx2.Client(auth=self.login, trust_env=False, timeout=30)

    def close(self) -> None:
        self._http.close()

    def push(self, image: MadeImage, repository: str, tag: str) -> str:
        """Put an image there, and give the name that it has."""
        base = f"http://{self.host}/v2/{repository}"
        for digest, blob in image.blobs.items():
            place = self._http.post(f"{base}/blobs/uploads/").raise_for_status().headers["location"]
            joined = "&" if "?" in place else "?"
            self._http.put(f"{place}{joined}digest={digest}", content=blob).raise_for_status()
        self._put(f"{base}/manifests/{tag}", image)
        return f"{self.host}/{repository}"

    def _put(self, url: str, image: MadeImage) -> None:
        self._http.put(url, content=image.manifest, headers={"Content-Type": image.media_type}).raise_for_status()

    def hide(self) -> None:
        """Lose every image."""
        shutil.rmtree(self.folder)

    def push_by_digest(self, image: MadeImage, repository: str) -> None:
        """Put an image there without a tag."""
        self.push(image, repository, image.digest)

    def stored(self, digest: str) -> Path:
        """Give the file that the registry keeps a blob in."""
        value = digest.removeprefix("sha256:")
        return self.folder / "docker/registry/v2/blobs/sha256" / value[:2] / value / "data"
