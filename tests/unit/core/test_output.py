"""What consumers may say of where results go, and under which names they are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.delivery import kinds_of
from cove.core.errors import CoveError, Invalid, Refused
from cove.core.files import S3File
from cove.core.job import ResultFile
from cove.core.output import AssetWish, Output, OutputRules, Storage, UrlPlace, check_output
from cove.core.output_form import parse_output
from cove.core.sending import chosen, encoded, name_of, object_key
from cove.core.sigv4 import AwsKey

URL = {"type": "url", "url": "https://store.example/geheim/"}
S3 = {
    "endpoint": "https://s3.example",
    "bucket": "box",
    "objectKey": "geheim/",
    "accessKeyId": "AK",
    "secretAccessKey": "geheim",
}
RESULTS = (
    ResultFile("image.log", 1, "imageLog", "a", "k0"),
    ResultFile("algorithm.log", 1, "algorithmLog", "a", "k1"),
    ResultFile("a/b.csv", 1, "output", "a", "k2"),
    ResultFile("outputs.tar", 1, "output", "", ""),
    ResultFile("receipt.json", 1, "publishLog", "a", "k3"),
)


def test_a_server_is_named_with_method_and_headers() -> None:
    assert parse_output({"remoteStorage": URL}) == Output(Storage(UrlPlace(URL["url"])))
    full = {**URL, "method": "post", "headers": {"X-A": "1"}}
    assert parse_output({"remoteStorage": full}) == Output(Storage(UrlPlace(URL["url"], "POST", (("X-A", "1"),))))


def test_a_bucket_is_named_as_in_file_objects() -> None:
    found = parse_output({"remoteStorage": {"type": "s3", "s3Access": S3}})
    key = AwsKey("us-east-1", "AK", "geheim")
    assert found == Output(Storage(S3File("https://s3.example", "box", "geheim/", key)))


@pytest.mark.parametrize(
    ("key", "kept"),
    [("0x" + "aB" * 64, "04" + "ab" * 64), ("04" + "ab" * 64, "04" + "ab" * 64), ("02" + "cd" * 32, "02" + "cd" * 32)],
)
def test_a_key_is_taken_in_its_usual_forms(key: str, kept: str) -> None:
    for method in ({}, {"encryptMethod": "ECIES"}):
        found = parse_output({"remoteStorage": URL, "encryption": {"key": key, **method}})
        assert found is not None
        assert found.storage is not None
        assert found.storage.public_key == kept


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"publishOutput": True, "publishAlgorithmLog": True},
        {"owner": "0x1", "whitelist": []},
        {"metadata": {"name": "not published"}},
        {"publishOutput": False, "metadata": {"name": "x"}},
        {"remoteStorage": None},
    ],
)
def test_what_clients_send_without_meaning_it_is_passed_over(given: dict[str, Any]) -> None:
    assert parse_output(given) is None
    check_output(OutputRules(), None, "0xA")
    assert kinds_of(None) == ()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"remoteStorage": "geheim"}, "output.remoteStorage"),
        ({"remoteStorage": {"type": "ftp", "url": "ftp://geheim"}}, "output.remoteStorage.type"),
        ({"remoteStorage": {"url": "https://geheim"}}, "output.remoteStorage.type"),
        ({"remoteStorage": {**URL, "url": "file:///geheim"}}, "output.remoteStorage.url"),
        ({"remoteStorage": {**URL, "method": "DELETE"}}, "output.remoteStorage.method"),
        ({"remoteStorage": {**URL, "headers": {"Host": "geheim"}}}, "output.remoteStorage.headers"),
        ({"remoteStorage": {"type": "s3", "s3Access": {**S3, "bucket": "/"}}}, "output.remoteStorage.s3Access.bucket"),
        ({"remoteStorage": {"type": "local", "root": "a", "path": "b"}}, "output.remoteStorage.type"),
        ({"encryption": {"key": "04" + "ab" * 64}}, "output.encryption"),
        (
            {"remoteStorage": URL, "encryption": {"encryptMethod": "AES", "key": "00" * 32}},
            "output.encryption.encryptMethod",
        ),
        ({"remoteStorage": URL, "encryption": {"key": "geheim"}}, "output.encryption.key"),
        ({"remoteStorage": URL, "encryption": {}}, "output.encryption.key"),
        ({"remoteStorage": URL, "encryption": "geheim"}, "output.encryption"),
    ],
)
def test_mistakes_are_named_by_their_field_and_never_quoted(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_output(given)
    assert list(caught.value.errors) == [field]
    assert "geheim" not in str(caught.value.errors)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20),
    lambda below: st.dictionaries(
        st.sampled_from(("type", "url", "method", "headers", "s3Access", "key", "encryptMethod")), below
    ),
)


@given(st.fixed_dictionaries({"remoteStorage": JSON, "encryption": JSON}))
def test_whatever_comes_is_read_or_refused(given: dict[str, Any]) -> None:
    try:
        parse_output(given)
    except CoveError as problem:
        assert isinstance(problem, Invalid)


def test_the_owner_must_allow_it() -> None:
    wanted = Output(Storage(UrlPlace("https://store.example/")))
    with pytest.raises(Refused, match=r"output\.remoteStorage: sending_not_allowed") as caught:
        check_output(OutputRules(), wanted, "0xA")
    assert "sending.allowed" in (caught.value.hint or "")
    check_output(OutputRules(sending=True), wanted, "0xA")
    with pytest.raises(Refused) as refused:
        check_output(OutputRules(sending=True), wanted, "0xA", mock=True)
    assert (refused.value.field, refused.value.reason) == ("output", "mock_output")
    check_output(OutputRules(), None, "0xA", mock=True)
    assert kinds_of(wanted) == ("storage",)


METADATA = {"name": "Mean", "description": "Of a table.", "author": "A", "license": "L"}


def test_an_asset_is_wanted_with_its_metadata_alone() -> None:
    assert parse_output({"publishOutput": True, "publishAlgorithmLog": True}) is None
    given = {**METADATA, "type": "dataset", "created": "now", "tags": ["a"], "categories": None}
    found = parse_output({"publishOutput": True, "metadata": given})
    assert found is not None
    assert found.asset == AssetWish(json.dumps({**METADATA, "tags": ["a"]}))
    assert kinds_of(found) == ("asset",)
    logged = parse_output(
        {"publishOutput": True, "publishAlgorithmLog": True, "metadata": METADATA, "remoteStorage": URL}
    )
    assert logged is not None
    assert logged.asset is not None
    assert logged.asset.with_log
    assert kinds_of(logged) == ("storage", "asset")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"publishOutput": 1, "metadata": METADATA}, "output.publishOutput"),
        ({"publishOutput": True, "metadata": []}, "output.metadata"),
        ({"publishOutput": True, "metadata": METADATA, "publishAlgorithmLog": "yes"}, "output.publishAlgorithmLog"),
        ({"publishOutput": True, "metadata": {}}, "output.metadata.name"),
        ({"publishOutput": True, "metadata": {**METADATA, "price": 1}}, "output.metadata.price"),
        ({"publishOutput": True, "metadata": {**METADATA, "links": [{}]}}, "output.metadata.links[0]"),
    ],
)
def test_mistakes_about_an_asset_are_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_output(given)
    assert list(caught.value.errors) == [field]


def test_whose_results_become_assets_is_the_owners_to_say() -> None:
    wanted = Output(asset=AssetWish("{}"))
    listed = OutputRules(publishing=True, publishers=frozenset({"0xa"}))
    for rules, consumer in ((OutputRules(sending=True), "0xA"), (listed, "0xB")):
        with pytest.raises(Refused, match=r"output\.publishOutput: publishing_not_allowed"):
            check_output(rules, wanted, consumer)
    check_output(listed, wanted, "0xA")
    check_output(OutputRules(publishing=True), wanted, "0xB")


def test_a_folder_gets_each_file_and_an_object_the_archive() -> None:
    key = AwsKey("r", "k", "s")
    for folder, alone in (
        (UrlPlace("https://a/b/?x=1#y"), UrlPlace("https://a/b?x=/")),
        (S3File("https://a", "box", "b/", key), S3File("https://a", "box", "b", key)),
    ):
        assert chosen(RESULTS, Storage(folder)) == (0, 1, 2, 4)
        assert chosen(RESULTS, Storage(alone)) == (3,)
    assert [name_of(one) for one in RESULTS if one.key] == [
        "logs/image.log", "logs/algorithm.log", "outputs/a/b.csv", "receipt.json",
    ]  # fmt: skip


def test_names_of_any_bytes_are_sent() -> None:
    assert encoded("a b/\udcff?é") == "a%20b/%FF%3F%C3%A9"
    assert object_key("in/", "\udcffé") == "in/%FFé"
    with pytest.raises(Refused, match="name_too_long"):
        object_key("in/", "é" * 600)


def test_nothing_of_a_place_shows() -> None:
    for place in (
        UrlPlace("https://geheim", "PUT", (("a", "geheim"),)),
        S3File("geheim", "geheim", "geheim", AwsKey("geheim", "geheim", "geheim")),
    ):
        assert "geheim" not in repr(Output(Storage(place)))
