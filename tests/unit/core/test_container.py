from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.container import Plan, check_container, custom_data, plan
from cove.core.contractcall import ContractFunction
from cove.core.errors import Invalid, Refused
from cove.core.files import (
    ArweaveFile,
    ContractFile,
    FileObject,
    GraphqlFile,
    IpfsFile,
    LocalFile,
    S3File,
    UrlFile,
)
from cove.core.job import Container, InputAsset, Package
from cove.core.sigv4 import AwsKey

ALGORITHM = InputAsset("did:op:cc", "0", None, '{"id": "did:op:cc"}')
PACKAGE = Package((InputAsset("did:op:aa", "1", None, '{"id": "did:op:aa"}'),), ALGORITHM, Container("image"))
FILE = LocalFile("root", "folder/rows.csv")
OBJECTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.floats(allow_nan=False), max_size=5)


def refusal(*parts: str | None) -> str:
    with pytest.raises(Refused) as caught:
        check_container(*parts)
    assert caught.value.field == "algorithm.container"
    return caught.value.reason


def targets(layout: Plan) -> dict[str, Any]:
    assert len({place.target for place in layout.places}) == len(layout.places)
    return {place.target: place for place in layout.places}


def test_a_container_as_it_was_sent() -> None:
    assert check_container("python3 $ALGO", "python", "3.11", "sha256:ab") == Container(
        "python", "3.11", "sha256:ab", "python3 $ALGO"
    )
    assert check_container("", "registry:5000/a/b", None, "sha256:ab").entrypoint == ""


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((None, "i", "t", "sha256:ab"), "missing_entrypoint_image_checksum"),
        (("e", None, "t", "sha256:ab"), "missing_entrypoint_image_checksum"),
        (("e", "", "t", "sha256:ab"), "missing_entrypoint_image_checksum"),
        (("e", "i", "t", None), "missing_entrypoint_image_checksum"),
        (("e", "i", "t", ""), "missing_entrypoint_image_checksum"),
        (("e", "i", "t", "ab"), "checksum_prefix"),
        (("e", "i", "t", "sha256:"), "checksum_prefix"),
        (("e", "i", "t", "sha256:../x"), "checksum_prefix"),
        (("e", "--privileged", "t", "sha256:ab"), "image_invalid"),
        (("e", "a b", "t", "sha256:ab"), "image_invalid"),
        (("e", "i", "-t", "sha256:ab"), "tag_invalid"),
        (("e\0", "i", "t", "sha256:ab"), "entrypoint_invalid"),
        (("e\n", "i", "t", "sha256:ab"), "entrypoint_invalid"),
        (("e" * 4097, "i", "t", "sha256:ab"), "entrypoint_invalid"),
    ],
)
def test_what_is_no_container(parts: tuple[str | None, ...], reason: str) -> None:
    assert refusal(*parts) == reason


def test_everything_has_its_place() -> None:
    package = replace(PACKAGE, environment=(("EPOCHS", "3"),))
    layout = plan(package, [[FILE, UrlFile("http://h/x")]], [FILE, UrlFile("http://h/lib")])
    found = targets(layout)
    assert list(found) == [
        "/data/inputs/aa/0",
        "/data/inputs/aa/1",
        "/data/transformations/algorithm",
        "/data/transformations/1",
        "/data/ddos/aa",
        "/data/ddos/cc",
        "/data/inputs/algoCustomData.json",
    ]
    assert found["/data/inputs/aa/0"].file == FILE
    assert [target for target, place in found.items() if place.executable] == ["/data/transformations/algorithm"]
    assert found["/data/ddos/aa"].content == b'{"id": "did:op:aa"}'
    assert found["/data/inputs/algoCustomData.json"].content == b"{}"
    assert layout.environment == (("EPOCHS", "3"), ("DIDS", '["aa"]'), ("TRANSFORMATION_DID", "cc"))


def test_two_services_of_one_dataset_share_its_folder() -> None:
    package = replace(PACKAGE, datasets=PACKAGE.datasets * 2)
    layout = plan(package, [[FILE, FILE], [FILE]], [FILE])
    assert [target for target in targets(layout) if "/inputs/aa" in target] == [
        "/data/inputs/aa/0", "/data/inputs/aa/1", "/data/inputs/aa/2",
    ]  # fmt: skip
    assert dict(layout.environment)["DIDS"] == '["aa"]'


def test_an_input_without_did_gets_a_folder_that_tells_nothing() -> None:
    package = replace(PACKAGE, datasets=(InputAsset("", "", None),))
    layout = plan(package, [[UrlFile("http://h/s3cret")]], [FILE])
    name = json.loads(dict(layout.environment)["DIDS"])[0]
    assert len(name) == 64
    assert int(name, 16)
    assert layout.places[0].target == f"/data/inputs/{name}/0"
    assert json.loads(targets(layout)[f"/data/ddos/{name}"].content)["metadata"]["type"] == "dataset"


def test_raw_code_goes_byte_for_byte() -> None:
    package = replace(PACKAGE, algorithm=InputAsset("", "", None), rawcode="print('é')\r\n")
    layout = plan(package, [[FILE]], [])
    place = targets(layout)["/data/transformations/algorithm"]
    assert (place.content, place.executable, place.file) == ("print('é')\r\n".encode(), True, None)
    assert dict(layout.environment)["TRANSFORMATION_DID"] == "raw"
    assert json.loads(targets(layout)["/data/ddos/raw"].content)["metadata"]["type"] == "algorithm"


def test_flat_names_are_never_equal() -> None:
    files: list[FileObject] = [
        LocalFile("r", "a/x.csv"), LocalFile("r", "b/x.csv"), UrlFile("http://h/x.csv.1?key=s3cret"),
        UrlFile("http://h"), UrlFile("http://h/"), UrlFile("http://h/%2e%2e"), UrlFile("http://h/a%2Fb%00"),
        UrlFile("http://h/algoCustomData.json"), LocalFile("r", "."),
    ]  # fmt: skip
    layout = plan(replace(PACKAGE, layout="flat"), [files], [FILE])
    names = [place.target.removeprefix("/data/inputs/") for place in layout.places[: len(files)]]
    assert names == [
        "x.csv", "x.csv.1", "x.csv.1.1", "0", "0.1", "0.2", "a_b_", "algoCustomData.json.1", "0.3",
    ]  # fmt: skip
    assert dict(layout.environment)["DIDS"] == "[]"
    assert targets(layout)["/data/inputs/algoCustomData.json"].content == b"{}"


def test_no_flat_name_tells_a_secret() -> None:
    files: list[FileObject] = [
        IpfsFile("Qms3cret"), ArweaveFile("s3cret"), GraphqlFile("http://h/s3cret", "{ s3cret }"),
        ContractFile(1, "0xs3cret", ContractFunction("s3cret", (), ())),
        S3File("http://h", "s3cret", "s3cret/rows é.csv", AwsKey("r", "k", "s")),
    ]  # fmt: skip
    layout = plan(replace(PACKAGE, layout="flat"), [files], [FILE])
    names = [place.target.removeprefix("/data/inputs/") for place in layout.places[: len(files)]]
    assert names == ["0", "0.1", "graphql.json", "smartcontract.json", "rows é.csv"]


@given(st.lists(st.text(min_size=1, max_size=300), max_size=8))
def test_no_flat_name_leaves_its_folder(names: list[str]) -> None:
    files = [LocalFile("r", name) for name in names]
    for place in plan(replace(PACKAGE, layout="flat"), [files], []).places[: len(files)]:
        name = place.target.removeprefix("/data/inputs/")
        assert name
        assert "/" not in name
        assert name not in {".", ".."}
        assert len(name.encode()) <= 255


def test_userdata_fills_in_what_custom_data_leaves_open() -> None:
    package = replace(
        PACKAGE, custom_data='{"a": 1, "b": null}', algorithm=replace(ALGORITHM, userdata='{"b":2,"c":3}')
    )
    assert json.loads(custom_data(package)) == {"a": 1, "b": None, "c": 3}


def test_numbers_keep_every_digit() -> None:
    given_text = '{ "a" : 1.10 , "é":12345678901234567890123, "n":{"x":1e400,"y":[1.0]}, "t":"\\u00e9 }" }'
    written = custom_data(replace(PACKAGE, custom_data=given_text))
    for text in ("1.10", "12345678901234567890123", '{"x":1e400,"y":[1.0]}', '"\\u00e9 }"'):
        assert text in written
    assert json.loads(written) == json.loads(given_text)


@given(OBJECTS, OBJECTS)
def test_custom_data_is_the_union(own: dict[str, Any], further: dict[str, Any]) -> None:
    algorithm = replace(ALGORITHM, userdata=json.dumps(further, ensure_ascii=False))
    written = custom_data(replace(PACKAGE, custom_data=json.dumps(own), algorithm=algorithm))
    assert json.loads(written) == further | own


@pytest.mark.parametrize("text", ["[]", "5", "nonsense", '{"a":1', "[" * 100_000])
def test_custom_data_is_always_an_object(text: str) -> None:
    with pytest.raises(Invalid):
        custom_data(replace(PACKAGE, custom_data=text))
