"""A folder of assets, beyond what every MetadataStore does: files that change, are damaged, or are somebody else's."""

# ruff: noqa: ASYNC240 - nothing else waits for a test's own event loop

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import catalogue
from tests.support.catalogue import CHAIN, OWNER, STRANGER

from cove.core.errors import Invalid, NotFound, Unavailable
from cove.crypto.keys import checksum
from cove.metadata.folder import FolderMetadata, write_asset


def store_of(folder: Path) -> FolderMetadata:
    return FolderMetadata(folder, CHAIN, checksum)


def file_of(folder: Path, did: str) -> Path:
    return folder / f"{did.removeprefix('did:op:')}.json"


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    did = await catalogue.shelve(tmp_path, "table.csv")
    store = store_of(tmp_path)
    asset = await store.asset(did)
    assert (asset.did, asset.publisher, asset.state, asset.chain_id) == (did, OWNER.address, 0, CHAIN)
    assert store.knows(did)
    assert list(store.dids()) == [did]
    assert await store.asset(did) is asset  # it is read once
    assert [path.name for path in tmp_path.iterdir()] == [file_of(tmp_path, did).name]


async def test_a_change_is_seen_at_once(tmp_path: Path) -> None:
    did = await catalogue.shelve(tmp_path, "table.csv")
    store = store_of(tmp_path)
    document = json.loads((await store.asset(did)).document)
    document["metadata"]["name"] = "Renamed"
    write_asset(tmp_path, document, STRANGER.address, 3)
    asset = await store.asset(did)
    assert (asset.name, asset.publisher, asset.state) == ("Renamed", STRANGER.address, 3)
    file_of(tmp_path, did).unlink()
    with pytest.raises(NotFound):
        await store.asset(did)
    assert not store.knows(did)


def changed(**parts: Any) -> Callable[[dict[str, Any]], object]:
    return lambda body: body | parts


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: "text", "file"),
        (lambda _: [], "file"),
        (changed(owner="nobody"), "owner"),
        (changed(owner=None), "owner"),
        (changed(state="0"), "state"),
        (changed(ddo={}), "version"),
        (lambda body: body | {"ddo": body["ddo"] | {"chainId": 1}}, "another asset"),
        (lambda body: body | {"ddo": body["ddo"] | {"nftAddress": "0x" + "1" * 40}}, "another asset"),
        (lambda body: body | {"ddo": body["ddo"] | {"id": "did:op:" + "1" * 64}}, "another asset"),
    ],
)
async def test_what_is_no_asset_of_that_name_is_not_found(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], said: str
) -> None:
    did = await catalogue.shelve(tmp_path, "table.csv")
    path = file_of(tmp_path, did)
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    with pytest.raises(NotFound, match=said):
        await store_of(tmp_path).asset(did)


async def test_odd_files_hold_nobody_up(tmp_path: Path) -> None:
    did = await catalogue.shelve(tmp_path, "table.csv")
    path = file_of(tmp_path, did)
    content = path.read_text()
    path.unlink()
    (tmp_path / "elsewhere").write_text(content)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotFound, match="link"):
        await store_of(tmp_path).asset(did)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotFound):
        await store_of(tmp_path).asset(did)
    path.unlink()
    path.write_text("[" * (9 << 20))
    with pytest.raises(NotFound):
        await store_of(tmp_path).asset(did)
    path.unlink()
    path.mkdir()
    with pytest.raises((NotFound, Unavailable)):
        await store_of(tmp_path).asset(did)


async def test_a_folder_that_is_gone_says_nothing_of_what_is_published(tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    did = await catalogue.shelve(folder, "table.csv")
    shutil.rmtree(folder)
    with pytest.raises(Unavailable, match="not there"):
        await store_of(folder).asset(did)
    with pytest.raises(Unavailable):
        store_of(folder).dids()


def test_what_could_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        write_asset(tmp_path, {"id": "did:op:" + "1" * 64}, OWNER.address, 0)
    assert list(tmp_path.iterdir()) == []
