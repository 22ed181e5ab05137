from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid, Refused
from cove.core.filelist import attach_userdata, bound_to, is_relative_path, parse_file, parse_file_list
from cove.core.files import (
    ArweaveFile,
    ContractFile,
    FileList,
    FileObject,
    GraphqlFile,
    IpfsFile,
    LocalFile,
    S3File,
    UrlFile,
)
from cove.core.sigv4 import AwsKey

NFT = "0xAbCdef0123456789abcdef0123456789ABCDEF01"
DATATOKEN = "0x1111111111111111111111111111111111111111"
URL = {"type": "url", "url": "https://user-secret.example/s3cret?key=hidden"}
CID0 = "Qms3cret" + "a" * 38
CID1 = "bafy" + "s2cret" + "a" * 49
QUERY = {"type": "graphql", "url": URL["url"], "query": "{ s3cret }"}
CONTRACT: dict[str, Any] = {
    "type": "smartcontract",
    "chainId": 8996,
    "address": DATATOKEN,
    "abi": {"name": "s3cret", "type": "function", "stateMutability": "view", "outputs": [{"type": "uint8"}]},
}
BUCKET = {
    "endpoint": "https://s3cret.example",
    "region": "s3cret",
    "bucket": "s3cret",
    "objectKey": "s3cret/rows.csv",
    "accessKeyId": "s3cret",
    "secretAccessKey": "s3cret/+",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def wrong_fields(value: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_file(value, "files[0]")
    assert "s3cret" not in str(caught.value.errors)
    return list(caught.value.errors)


def test_the_object_of_today_and_the_bare_list_of_before() -> None:
    files = [URL, {"type": "local", "root": "data", "path": "a/b.csv"}]
    listed = parse_file_list(json.dumps({"datatokenAddress": DATATOKEN, "nftAddress": NFT, "files": files}).encode())
    assert listed == FileList((UrlFile(URL["url"]), LocalFile("data", "a/b.csv")), DATATOKEN, NFT)
    assert parse_file_list(json.dumps(files).encode()) == FileList(listed.files)


@pytest.mark.parametrize(
    "plain",
    [
        b"", b"nonsense", b"\xff\xfe\xfd", b"5", b"[]", b"{}", b"[" * 100_000, b'{"files":[]}', b"[" + b"1" * 5000 + b"]",
        json.dumps({"datatokenAddress": "0x1", "nftAddress": NFT, "files": [URL]}).encode(),
        json.dumps({"files": [URL]}).encode(),
        json.dumps([URL] * 1001).encode(),
        b'["' + b"a" * (1 << 20) + b'"]',
    ],
    ids=lambda plain: plain[:12],
)  # fmt: skip
def test_what_is_no_file_list(plain: bytes) -> None:
    with pytest.raises(Invalid):
        parse_file_list(plain)


def test_headers_come_as_an_object_or_a_list() -> None:
    one = parse_file(URL | {"method": "post", "headers": {"A": "1", "B": "2"}}, "file")
    other = parse_file(URL | {"method": "POST", "headers": [{"A": "1"}, {"B": "2"}]}, "file")
    assert one == other == UrlFile(URL["url"], "POST", (("A", "1"), ("B", "2")))


def test_every_type_is_read() -> None:
    assert parse_file({"type": "ipfs", "hash": CID0}, "file") == IpfsFile(CID0)
    assert parse_file({"type": "ipfs", "hash": CID1}, "file") == IpfsFile(CID1)
    assert parse_file({"type": "arweave", "transactionId": "-_" + "a" * 41}, "file") == ArweaveFile("-_" + "a" * 41)
    query = parse_file(QUERY | {"headers": {"A": "1"}}, "file")
    assert query == GraphqlFile(URL["url"], "{ s3cret }", (("A", "1"),))
    contract = parse_file(CONTRACT, "file")
    assert isinstance(contract, ContractFile)
    assert (contract.chain_id, contract.address, contract.function.signature) == (8996, DATATOKEN, "s3cret()")
    key = AwsKey("s3cret", "s3cret", "s3cret/+")
    made = S3File("https://s3cret.example", "s3cret", "s3cret/rows.csv", key)
    assert parse_file({"type": "s3", "s3Access": BUCKET}, "file") == made
    elsewhere = parse_file({"type": "s3", "s3Access": BUCKET | {"region": None, "forcePathStyle": False}}, "file")
    assert isinstance(elsewhere, S3File)
    assert (elsewhere.key.region, elsewhere.path_style) == ("us-east-1", False)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "files[0]"),
        ([], "files[0]"),
        ({}, "files[0].type"),
        ({"type": "ftp", "hash": "s3cret"}, "files[0].type"),
        ({"type": ["url"]}, "files[0].type"),
        ({"type": "url"}, "files[0].url"),
        (URL | {"url": "ftp://s3cret"}, "files[0].url"),
        (URL | {"url": "https://s3cret:pass@host/"}, "files[0].url"),
        (URL | {"method": "DELETE"}, "files[0].method"),
        (URL | {"method": 1}, "files[0].method"),
        (URL | {"headers": "A: s3cret"}, "files[0].headers"),
        (URL | {"headers": {"A": "s3cret\r\nHost: x"}}, "files[0].headers"),
        (URL | {"headers": {"A b": "s3cret"}}, "files[0].headers"),
        (URL | {"headers": {"A": 5}}, "files[0].headers"),
        (URL | {"headers": {"Host": "internal"}}, "files[0].headers"),
        (URL | {"headers": {"transfer-encoding": "chunked"}}, "files[0].headers"),
        (URL | {"headers": {"Proxy-Authorization": "s3cret"}}, "files[0].headers"),
        (URL | {"headers": [{"A": "1"}] * 51}, "files[0].headers"),
        ({"type": "ipfs"}, "files[0].hash"),
        *(({"type": "ipfs", "hash": cid}, "files[0].hash") for cid in (
            5, "", "s3cret", CID0 + "a", CID0[:-1], CID0[:-1] + "0", CID0[:-1] + "/", f"{CID0}/../s3cret", CID1.upper(),
            CID1 + "?", "b" * 114, f"{CID0}\n",
        )),
        *(({"type": "arweave", "transactionId": one}, "files[0].transactionId") for one in (
            None, "", "s3cret", "a" * 42 + "=", "a" * 42 + "/", "a" * 44,
        )),
        (QUERY | {"query": None}, "files[0].query"),
        (QUERY | {"query": "mutation { s3cret }"}, "files[0].query"),
        (QUERY | {"query": "# x\nsubscription { s3cret }"}, "files[0].query"),
        (QUERY | {"query": "{ a }" + " " * (64 << 10)}, "files[0].query"),
        (QUERY | {"url": "file:///s3cret"}, "files[0].url"),
        (QUERY | {"headers": {"Host": "s3cret"}}, "files[0].headers"),
        (CONTRACT | {"chainId": "8996"}, "files[0].chainId"),
        (CONTRACT | {"chainId": 0}, "files[0].chainId"),
        (CONTRACT | {"address": "s3cret"}, "files[0].address"),
        (CONTRACT | {"abi": CONTRACT}, "files[0].abi.type"),
        ({"type": "s3"}, "files[0].s3Access"),
        *(({"type": "s3", "s3Access": BUCKET | {name: value}}, f"files[0].s3Access.{name}") for name, value in (
            ("endpoint", "s3cret"), ("endpoint", "https://s3cret/?a"), ("endpoint", "https://s3cret/#a"),
            ("region", ["s3cret"]), ("region", "a/b"), ("bucket", "a/s3cret"), ("bucket", "a"), ("bucket", "../s3cret"),
            ("objectKey", ""), ("objectKey", "a/../s3cret"), ("objectKey", "\ud800"), ("objectKey", "é" * 513),
            ("objectKey", "a\r\ns3cret"), ("accessKeyId", "s3cret/x"), ("accessKeyId", None),
            ("secretAccessKey", "s3cret\n"), ("secretAccessKey", ""), ("forcePathStyle", "yes"),
        )),
        ({"type": "local", "root": "../x", "path": "a"}, "files[0].root"),
        ({"type": "local", "root": "data"}, "files[0].path"),
        ({"type": "local", "root": "data", "path": "../s3cret"}, "files[0].path"),
        ({"type": "local", "root": "data", "path": "/etc/s3cret"}, "files[0].path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_not_quoted(value: object, field: str) -> None:
    assert wrong_fields(value) == [field]


@given(JSON)
def test_no_json_breaks_it(value: Any) -> None:
    hostiles = (
        {"type": "url", "url": value}, {"type": "local", "root": "r", "path": value}, {"type": "ipfs", "hash": value},
        QUERY | {"query": value}, CONTRACT | {"abi": value}, {"type": "s3", "s3Access": value},
        *(CONTRACT | {"abi": {**CONTRACT["abi"], name: value}} for name in ("outputs", "name", "stateMutability")),
        *({"type": "s3", "s3Access": BUCKET | {name: value}} for name in BUCKET),
    )  # fmt: skip
    for hostile in (value, *hostiles):
        try:
            parse_file(hostile, "f")
        except Invalid as problem:
            assert problem.errors
    for body in (value, {"datatokenAddress": DATATOKEN, "nftAddress": NFT, "files": value}):
        try:
            parse_file_list(json.dumps(body).encode())
        except Invalid as problem:
            assert problem.errors


@given(st.text(alphabet="./a\0", max_size=8))
def test_a_path_never_leaves_where_it_starts(path: str) -> None:
    if is_relative_path(path) and path != ".":
        assert all(part not in {"", ".", ".."} for part in path.split("/"))
        assert "\0" not in path


def test_paths_are_bounded() -> None:
    assert is_relative_path("a" * 255)
    assert not is_relative_path("a" * 256)
    assert not is_relative_path("é" * 128)
    assert not is_relative_path("/".join(["aa"] * 1400))
    assert not is_relative_path("\ud800")


def test_a_list_belongs_to_one_asset() -> None:
    listed = FileList((LocalFile("r", "p"),), DATATOKEN, NFT)
    bound_to(listed, DATATOKEN.upper().replace("X", "x"), NFT.lower())
    for given_list, datatoken, nft in (
        (listed, NFT, NFT),
        (listed, DATATOKEN, DATATOKEN),
        (FileList(listed.files), DATATOKEN, NFT),
        (FileList(listed.files), "", ""),
        (FileList(listed.files, DATATOKEN, ""), DATATOKEN, ""),
    ):
        with pytest.raises(Refused, match="not_bound_to_asset"):
            bound_to(given_list, datatoken, nft)


def test_parameters_go_to_what_takes_them() -> None:
    assert attach_userdata(UrlFile("http://h"), '{"a": 1}') == UrlFile("http://h", userdata='{"a": 1}')
    assert attach_userdata(UrlFile("http://h"), "") == UrlFile("http://h")
    query = GraphqlFile("http://h", "{ a }")
    assert attach_userdata(query, '{"a": 1}') == GraphqlFile("http://h", "{ a }", userdata='{"a": 1}')
    contract = attach_userdata(parse_file(CONTRACT, "file"), '{"a": 1}')
    assert isinstance(contract, ContractFile)
    assert contract.userdata == '{"a": 1}'
    bucket = parse_file({"type": "s3", "s3Access": BUCKET}, "file")
    others: tuple[FileObject, ...] = (LocalFile("r", "p"), IpfsFile(CID0), ArweaveFile("a" * 43), bucket)
    for other in others:
        assert attach_userdata(other, '{"a": 1}') == other
    for wrong in ("[]", "nonsense", "5", '{"a": "' + "x" * (64 << 10) + '"}'):
        with pytest.raises(Invalid):
            attach_userdata(UrlFile("http://h"), wrong)


def test_secrets_do_not_show() -> None:
    file = parse_file(URL | {"headers": {"X-Key": "s3cret"}}, "file")
    local = parse_file({"type": "local", "root": "data", "path": "s3cret"}, "file")
    others = [{"type": "ipfs", "hash": CID0}, QUERY, CONTRACT, {"type": "s3", "s3Access": BUCKET}]
    read = (file, local, *(parse_file(one, "file") for one in others))
    assert "s3cret" not in repr((read, FileList(read, DATATOKEN, NFT)))
