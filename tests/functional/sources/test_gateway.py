"""Files in IPFS and Arweave behind a gateway on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from tests.support.http_server import Server, serving

from cove.core.errors import DataMissing, SettingsWrong
from cove.core.files import ArweaveFile, FileObject, IpfsFile
from cove.sources.arweave import ArweaveSource
from cove.sources.guard import AddressGuard
from cove.sources.ipfs import IpfsSource
from cove.sources.url import UrlSource

IPFS = IpfsFile("Qm" + "a" * 44)
ARWEAVE = ArweaveFile("b" * 43)
BOTH = [(IpfsSource, IPFS, "IPFS"), (ArweaveSource, ARWEAVE, "Arweave")]
Made = Callable[[UrlSource, str], IpfsSource | ArweaveSource]


def web(server: Server | None = None) -> UrlSource:
    allowed = [] if server is None else [f"127.0.0.1:{server.port}"]
    return UrlSource(AddressGuard(allowed), max_bytes=1 << 20, stall_seconds=5)


@pytest.mark.parametrize(("make", "file", "network"), BOTH)
def test_without_a_gateway_there_are_no_files(make: Made, file: FileObject, network: str) -> None:
    source = make(web(), "")
    assert not source.info(file).valid
    with pytest.raises(DataMissing, match=f"This provider has no {network} gateway"):
        source.open(file)


@pytest.mark.parametrize(("make", "file", "network"), BOTH)
@pytest.mark.parametrize("gateway", ["ipfs.io", "ftp://h", "http://h/?a", "http://h/#a", "http://a:b@h"])
def test_a_gateway_that_is_no_url(make: Made, file: FileObject, network: str, gateway: str) -> None:
    with pytest.raises(SettingsWrong, match=f"url_files.{network.lower()}_gateway"):
        make(web(), gateway)


@pytest.mark.parametrize(("make", "file", "network"), BOTH)
def test_a_gateway_stands_behind_the_guard_too(make: Made, file: FileObject, network: str) -> None:
    with serving() as server:
        source = make(web(), server.url(""))
        assert not source.info(file).valid
        with pytest.raises(DataMissing, match="not allowed"):
            source.open(file)
    assert not server.asked


def test_the_id_is_asked_for_and_not_told() -> None:
    with serving() as server:
        server.serve(b"one", f"/ipfs/{IPFS.hash}")
        server.serve(b"two", f"/{ARWEAVE.transaction_id}", headers="Content-Type: text/csv\r\n")
        ipfs, arweave = IpfsSource(web(server), server.url("/")), ArweaveSource(web(server), server.url(""))
        assert (ipfs.info(IPFS).filename, ipfs.info(IPFS).content_length) == ("", 3)
        assert (arweave.info(ARWEAVE).filename, arweave.info(ARWEAVE).content_type) == ("", "text/csv")
        buffer = memoryview(bytearray(10))
        for source, file, content in ((ipfs, IPFS, b"one"), (arweave, ARWEAVE, b"two")):
            with contextlib.closing(source.open(file)) as reader:
                assert bytes(buffer[: reader.readinto(buffer)]) == content
