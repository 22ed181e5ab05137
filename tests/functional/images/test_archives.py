"""Images of this host without any registry."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.images import MadeImage, an_image, digest_of, tar_of, write_layout
from tests.support.runs import Told

from cove.core.errors import ImageRefused
from cove.core.job import Container
from cove.ports import ImageSource

if TYPE_CHECKING:
    from tests.functional.images.conftest import Open


def a_layer(text: str) -> bytes:
    return tar_of([("app/x", text.encode())])


def packed(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as tar:
        for place in sorted(folder.rglob("*")):
            tar.add(place, str(place.relative_to(folder)), recursive=False)
    return target


def as_docker_saves(folder: Path, image: MadeImage, *tags: str) -> Path:
    """Write an archive as older versions of Docker do: no manifests, layers as they are, one by way of a link."""
    folder.mkdir()
    config = next(iter(image.blobs.values()))
    layers = list(image.blobs.values())[1:]
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    (folder / name).write_bytes(config)
    names = []
    for number, layer in enumerate(layers):
        (folder / str(number)).mkdir()
        (folder / str(number) / "real.tar").write_bytes(layer)
        (folder / str(number) / "layer.tar").symlink_to("real.tar")
        names.append(f"{number}/layer.tar")
    (folder / "manifest.json").write_text(json.dumps([{"Config": name, "RepoTags": list(tags), "Layers": names}]))
    return packed(folder, folder.with_suffix(".tar"))


@pytest.mark.parametrize("is_folder", [True, False])
async def test_an_oci_layout_as_folder_and_as_tar(open_store: Open, tmp_path: Path, *, is_folder: bool) -> None:
    one, two = an_image(a_layer("1")), an_image(a_layer("2"))
    path = write_layout(tmp_path / "layout", (one, "acme/tool:1"), (two, "2"))
    source = ImageSource("archive", str(path if is_folder else packed(path, tmp_path / "layout.tar")))
    store = open_store()
    for tag, image in (("1", one), ("2", two)):
        found = await store.prepare(source, Container("acme/tool", tag, image.digest), Told())
        assert (found.root / "app/x").read_text() == tag
    with pytest.raises(ImageRefused, match=r"has no image docker\.io/acme/tool:3 but acme/tool:1, 2"):
        await store.prepare(source, Container("acme/tool", "3", one.digest), Told())


async def test_what_docker_save_writes_is_known_by_its_configurations_digest(open_store: Open, tmp_path: Path) -> None:
    image = an_image(a_layer("a"), a_layer("b"), compress=bytes, suffix="")
    source = ImageSource("archive", str(as_docker_saves(tmp_path / "saved", image, "tool:1")))
    digest = digest_of(next(iter(image.blobs.values())))
    found = await open_store().prepare(source, Container("tool", "1", digest), Told())
    assert found.digest == digest
    assert (found.root / "app/x").read_text() == "b"


async def test_another_digest_than_the_archives_is_refused_before_and_after_it_is_unpacked(
    open_store: Open, tmp_path: Path
) -> None:
    image = an_image(a_layer("1"))
    source = ImageSource("archive", str(write_layout(tmp_path / "layout", (image, "1"))))
    store = open_store()
    for _ in range(2):
        with pytest.raises(ImageRefused, match=f"has the digest {image.digest}, and the algorithm states sha256:"):
            await store.prepare(source, Container("tool", "1", digest_of(b"other")), Told())
        await store.prepare(source, Container("tool", "1", image.digest), Told())
    chosen = ImageSource("archive", source.path, "sha256:" + "0" * 64)  # the owner's own word for it
    assert (await store.prepare(chosen, Container("tool", "1", chosen.checksum), Told())).digest == image.digest


async def test_an_archive_that_is_written_anew_is_unpacked_anew(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    for text in ("old", "newer"):
        image = an_image(a_layer(text))
        path = packed(write_layout(tmp_path / text, (image, "1")), tmp_path / "image.tar")
        found = await store.prepare(ImageSource("archive", str(path)), Container("tool", "1", image.digest), Told())
        assert (found.root / "app/x").read_text() == text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"no tar", "cannot be read as a tar"), (tar_of([("x", b"")]), "neither an OCI layout"), (None, "cannot be read")],
)
async def test_what_is_no_archive_is_refused(
    open_store: Open, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ImageRefused, match=sentence):
        await open_store().prepare(
            ImageSource("archive", str(tmp_path / "file")), Container("tool", "1", digest_of(b"")), Told()
        )


async def test_a_blob_of_an_archive_that_is_not_its_digests_is_refused(open_store: Open, tmp_path: Path) -> None:
    image = an_image(a_layer("1"))
    path = write_layout(tmp_path / "layout", (image, "1"))
    for digest in image.blobs:
        place = path / "blobs" / digest.replace(":", "/")
        before = place.read_bytes()
        place.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(ImageRefused, match="not what its digest says"):
            await open_store().prepare(ImageSource("archive", str(path)), Container("tool", "1", image.digest), Told())
        place.write_bytes(before)
