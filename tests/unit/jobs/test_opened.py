"""The memory of which file lists opened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cove.core.job import InputAsset, PeerFiles, SealedFiles
from cove.jobs.opened import Opened

ASSET = InputAsset("did:op:1", "0", SealedFiles("0xab", "0x1", "0x2"), publisher="0x3")


def test_what_was_added_is_known_whatever_else_the_asset_says() -> None:
    opened = Opened()
    assert ASSET not in opened
    opened.add(ASSET)
    assert ASSET in opened
    assert replace(ASSET, document="{}", files_checksum="12") in opened


@pytest.mark.parametrize(
    "other",
    [
        replace(ASSET, files=SealedFiles("0xac", "0x1", "0x2")),
        replace(ASSET, files=SealedFiles("0xab", "0x4", "0x2")),
        replace(ASSET, files=SealedFiles("0xab", "0x1", "0x5")),
        replace(ASSET, files=SealedFiles("0xab0", "x1", "0x2")),
        replace(ASSET, publisher="0x6"),
        replace(ASSET, userdata='{"a":1}'),
        replace(ASSET, files=PeerFiles("http://other", "")),
        replace(ASSET, files=None),
    ],
)
def test_another_list_owner_or_value_is_not(other: InputAsset) -> None:
    opened = Opened()
    opened.add(ASSET)
    assert other not in opened


def test_files_without_a_sealed_list_are_never_remembered() -> None:
    opened = Opened()
    raw = replace(ASSET, files=None)
    opened.add(raw)
    assert raw not in opened


def test_it_forgets_the_oldest() -> None:
    opened = Opened()
    assets = [replace(ASSET, userdata=str(number)) for number in range(4097)]
    for asset in assets:
        opened.add(asset)
    assert assets[0] not in opened
    assert assets[1] in opened
    assert assets[-1] in opened
