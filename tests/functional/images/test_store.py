"""The store before Debian's docker-registry: what is brought, shared, refused, kept and cleaned."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backports import zstd
from tests.support.images import PLATFORM, MadeImage, RunningRegistry, an_entry, an_image, an_index, digest_of, tar_of
from tests.support.registries import LOGIN
from tests.support.runs import Told

from cove.core.errors import ImagePullFailed, ImageRefused, NoSpace
from cove.core.job import Container, RegistryLogin
from cove.ports import ImageSource

if TYPE_CHECKING:
    from tests.functional.images.conftest import Open

REGISTRY = ImageSource("registry")
NOBODY = "linux/nobody"


def layer(text: str = "1") -> bytes:
    return tar_of([("app/x", text.encode())])


def left(folder: Path) -> list[str]:
    """Name what is there of images, and of what was to be one."""
    return [str(place.relative_to(folder)) for name in ("images", "tmp") for place in (folder / name).iterdir()]


async def test_an_image_is_brought_once_and_then_found_without_the_registry(
    registry: RunningRegistry, open_store: Open
) -> None:
    image = an_image(layer("a"), layer("b"), run={"WorkingDir": "/app"})
    name = registry.push(image, "once", "1")
    store, told = open_store(registry.host), Told()
    found = await store.prepare(REGISTRY, Container(name, "1", image.digest), told)
    assert (found.root / "app/x").read_text() == "b"
    assert found.digest == image.digest
    assert told.bytes_done == told.bytes_total == sum(len(blob) for blob in list(image.blobs.values())[1:])
    elsewhere = open_store()  # which may not even speak to it
    again, told = await elsewhere.prepare(REGISTRY, Container(name, "other", image.digest), Told()), Told()
    assert again.root == found.root
    assert told.bytes_total is None


@pytest.mark.parametrize(("compress", "suffix"), [(zstd.compress, "+zstd"), (bytes, ""), (lambda tar: tar, "+gzip")])
async def test_layers_of_every_compression(
    registry: RunningRegistry, open_store: Open, compress: object, suffix: str
) -> None:
    image = an_image(layer(suffix), compress=compress, suffix=suffix)
    name = registry.push(image, "compressions", "1")
    found = await open_store(registry.host).prepare(REGISTRY, Container(name, "1", image.digest), Told())
    assert (found.root / "app/x").read_text() == suffix


async def test_an_index_leads_to_this_machines_image_by_either_digest(
    registry: RunningRegistry, open_store: Open
) -> None:
    ours, others = an_image(layer("ours")), an_image(layer("others"), platform=NOBODY)
    index = an_index((others, NOBODY), (ours, PLATFORM))
    for image in (ours, others):
        registry.push_by_digest(image, "many")
    name = registry.push(index, "many", "1")
    store = open_store(registry.host)
    found = await store.prepare(REGISTRY, Container(name, "1", index.digest), Told())
    assert found.digest == ours.digest
    assert (await store.prepare(REGISTRY, Container(name, "1", ours.digest), Told())).root == found.root
    with pytest.raises(ImageRefused, match=f"made for {NOBODY}"):
        await store.prepare(REGISTRY, Container(name, "1", others.digest), Told())


async def test_a_tag_that_moved_does_not_matter(registry: RunningRegistry, open_store: Open) -> None:
    old, new = an_image(layer("old")), an_image(layer("new"))
    name = registry.push(old, "moved", "1")
    registry.push(new, "moved", "1")
    found = await open_store(registry.host).prepare(REGISTRY, Container(name, "1", old.digest), Told())
    assert (found.root / "app/x").read_text() == "old"


@pytest.mark.parametrize(
    ("tag", "checksum", "sentence"),
    [
        ("1", digest_of(b"other"), r"has the digest sha256:.* at its registry, and the algorithm states sha256:"),
        ("2", digest_of(b"other"), "has no image refused of this name"),
        ("1", "sha256:abc", "not sha256: and 64 hex digits"),
    ],
)
async def test_what_is_not_what_the_algorithm_states_is_refused(  # noqa: PLR0917 - examples
    registry: RunningRegistry, open_store: Open, tmp_path: Path, tag: str, checksum: str, sentence: str
) -> None:
    name = registry.push(an_image(layer()), "refused", "1")
    with pytest.raises(ImageRefused, match=sentence):
        await open_store(registry.host).prepare(REGISTRY, Container(name, tag, checksum), Told())
    assert left(tmp_path / "images") == []


async def test_a_layer_that_is_not_its_digests_is_refused_and_nothing_is_left(
    registry: RunningRegistry, open_store: Open, tmp_path: Path
) -> None:
    image = an_image(layer("genuine"))
    name = registry.push(image, "forged", "1")
    place = registry.stored(list(image.blobs)[1])
    content = bytearray(place.read_bytes())
    content[-1] ^= 1
    place.write_bytes(content)
    with pytest.raises(ImageRefused, match="not what its digest says"):
        await open_store(registry.host).prepare(REGISTRY, Container(name, "1", image.digest), Told())
    assert left(tmp_path / "images") == []


async def test_a_diff_that_is_not_its_digests_is_refused(registry: RunningRegistry, open_store: Open) -> None:
    image = an_image(layer("x"), diff_ids=[digest_of(b"other")])
    name = registry.push(image, "diff", "1")
    with pytest.raises(ImageRefused, match="not what its digest says"):
        await open_store(registry.host).prepare(REGISTRY, Container(name, "1", image.digest), Told())


async def test_limits_of_bytes_and_entries(registry: RunningRegistry, open_store: Open, tmp_path: Path) -> None:
    bomb = an_image(tar_of([an_entry("zeros", tarfile.REGTYPE, size=3 << 20)]))
    name = registry.push(bomb, "bomb", "1")
    for options, sentence in (({"max_bytes": 1 << 20}, "larger than"), ({"max_entries": 0}, "more files")):
        with pytest.raises(ImageRefused, match=sentence):
            await open_store(registry.host, **options).prepare(REGISTRY, Container(name, "1", bomb.digest), Told())
    assert left(tmp_path / "images") == []


async def test_a_registry_that_wants_a_login(closed_registry: RunningRegistry, open_store: Open) -> None:
    image = an_image(layer("secret"))
    name = closed_registry.push(image, "team/secret", "1")
    container = Container(name, "1", image.digest)
    with pytest.raises(ImageRefused, match="does not show team/secret to no login"):
        await open_store(closed_registry.host).prepare(REGISTRY, container, Told())
    wrong = open_store(closed_registry.host, login=RegistryLogin("reader", "wrong"))
    with pytest.raises(ImageRefused, match="to this provider's login") as caught:
        await wrong.prepare(REGISTRY, container, Told())
    assert "wrong" not in str(caught.value)
    found = await open_store(closed_registry.host, login=RegistryLogin(*LOGIN)).prepare(REGISTRY, container, Told())
    assert (found.root / "app/x").read_text() == "secret"


async def test_what_a_consumers_own_login_opened_stays_closed_to_others(
    closed_registry: RunningRegistry, open_store: Open
) -> None:
    image = an_image(layer("consumer's own"))
    name = closed_registry.push(image, "ann/private", "1")
    theirs = Container(name, "1", image.digest, login=RegistryLogin(*LOGIN))
    store = open_store(closed_registry.host)
    found = await store.prepare(REGISTRY, theirs, Told())
    for login in (None, RegistryLogin("reader", "guessed")):
        with pytest.raises(ImageRefused, match="does not show ann/private"):
            await store.prepare(REGISTRY, Container(name, "1", image.digest, login=login), Told())
    told = Told()
    assert (await store.prepare(REGISTRY, theirs, told)).root == found.root
    assert told.bytes_total is None  # the registry was asked, and nothing was brought again


async def test_an_image_of_one_name_is_not_another_names(registry: RunningRegistry, open_store: Open) -> None:
    image = an_image(layer("named"))
    name = registry.push(image, "known", "1")
    store = open_store(registry.host)
    await store.prepare(REGISTRY, Container(name, "1", image.digest), Told())
    with pytest.raises(ImageRefused, match="has no image unknown of this name"):
        await store.prepare(REGISTRY, Container(f"{registry.host}/unknown", "1", image.digest), Told())


async def test_all_who_want_an_image_at_one_time_get_one(registry: RunningRegistry, open_store: Open) -> None:
    image = an_image(layer("shared"))
    name = registry.push(image, "shared", "1")
    stores = [open_store(registry.host), open_store(registry.host)]  # as two processes would have
    told = [Told() for _ in range(10)]
    waiting = [
        stores[number % 2].prepare(REGISTRY, Container(name, "1", image.digest), progress)
        for number, progress in enumerate(told)
    ]
    found = await asyncio.gather(*waiting)
    assert len({image.root for image in found}) == 1
    brought = {progress.bytes_total for progress in told}
    assert brought <= {None, len(list(image.blobs.values())[1])}
    assert len(await stores[0].images()) == 1


async def test_a_registry_that_is_away_fails_the_pull_with_a_reason(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cove.images.registry._FIRST_WAIT_SECONDS", 0.001)
    with pytest.raises(ImagePullFailed, match="cannot be reached: connection refused"):
        await open_store("127.0.0.1:1").prepare(REGISTRY, Container("127.0.0.1:1/a", "1", digest_of(b"")), Told())


async def test_old_and_unused_images_go_and_those_in_use_stay(registry: RunningRegistry, open_store: Open) -> None:
    images = [an_image(tar_of([an_entry("x", tarfile.REGTYPE, size=50_000 + n)])) for n in range(4)]
    used: set[str] = set()
    store = open_store(registry.host, used=lambda: used, keep_seconds=1000, keep_bytes=130_000)
    for number, image in enumerate(images):
        name = registry.push(image, f"clean{number}", "1")
        found = await store.prepare(REGISTRY, Container(name, "1", image.digest), Told())
        now = found.used_at or (found.root.parent / "image.json").stat().st_mtime
        os.utime(found.root.parent / "image.json", (now - 100 * number - 10, now - 100 * number - 10))
    used.add(images[3].digest)
    gone = await store.clean()
    # Two are as much as may stay; the oldest is in use.
    assert {image.digest for image in gone} == {images[2].digest}
    assert not await store.remove(images[3].digest)
    used.clear()
    assert await store.remove(images[3].digest)
    assert {image.digest for image in await store.images()} == {image.digest for image in images[:2]}
    for image in await store.images():
        os.utime(image.root.parent / "image.json", (1, 1))
    assert len(await store.clean()) == 2


async def test_what_a_killed_service_left_goes_at_the_next_start(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    (tmp_path / "images/tmp/half/root/etc").mkdir(parents=True)
    (tmp_path / "images/images" / ("a" * 64)).mkdir()
    await store.clean()
    assert left(tmp_path / "images") == []


async def test_an_image_that_a_crash_of_the_host_may_have_spoiled_is_brought_again(
    registry: RunningRegistry, open_store: Open
) -> None:
    image = an_image(layer("durable"))
    name = registry.push(image, "durable", "1")
    store = open_store(registry.host)
    found = await store.prepare(REGISTRY, Container(name, "1", image.digest), Told())
    store.close()  # waits for it to be on the disk
    record = found.root.parent / "image.json"
    record.write_text(record.read_text().replace('"boot":"', '"boot":"another'))
    assert open_store(registry.host).get(image.digest) is not None
    (found.root.parent / "settled").unlink()
    again = open_store(registry.host)
    assert again.get(image.digest) is None
    told = Told()
    await again.prepare(REGISTRY, Container(name, "1", image.digest), told)
    assert told.bytes_done > 0


def a_docker_manifest(image: MadeImage) -> MadeImage:
    """Give the same image in Docker's own types."""
    text = image.manifest.decode()
    for ours, dockers in (
        ("oci.image.manifest.v1+json", "docker.distribution.manifest.v2+json"),
        ("oci.image.config.v1+json", "docker.container.image.v1+json"),
        ("oci.image.layer.v1.tar+gzip", "docker.image.rootfs.diff.tar.gzip"),
    ):
        text = text.replace(f"application/vnd.{ours}", f"application/vnd.{dockers}")
    return MadeImage(text.encode(), image.blobs, "application/vnd.docker.distribution.manifest.v2+json")


async def test_an_image_in_dockers_own_types(registry: RunningRegistry, open_store: Open) -> None:
    image = a_docker_manifest(an_image(layer("docker")))
    name = registry.push(image, "docker", "1")
    found = await open_store(registry.host).prepare(REGISTRY, Container(name, "1", image.digest), Told())
    assert (found.root / "app/x").read_text() == "docker"


@pytest.mark.skipif(os.geteuid() != 0, reason="root may mount a small disk: run as root")
@pytest.mark.parametrize("compressible", [True, False])
async def test_a_full_disk_ends_the_pull_and_nothing_is_left(
    registry: RunningRegistry, open_store: Open, tmp_path: Path, *, compressible: bool
) -> None:
    content = bytes(8 << 20) if compressible else os.urandom(8 << 20)
    image = an_image(tar_of([("large", content)]))
    name = registry.push(image, "large", "1")
    place = tmp_path / "images"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "cove-test", place], check=True)  # noqa: ASYNC221 - at once
    try:
        store = open_store(registry.host)
        with pytest.raises(NoSpace, match="no space left for the image"):
            await store.prepare(REGISTRY, Container(name, "1", image.digest), Told())
        assert left(place) == []
        store.close()
    finally:
        subprocess.run(["umount", "-l", place], check=True)  # noqa: ASYNC221 - at once
