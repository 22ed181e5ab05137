"""What of a job becomes an asset, and what the asset says of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.support.jobs import a_job

from cove.core.job import Container, InputAsset, Outcome, Package, Phase, ResultFile
from cove.core.output import AssetWish
from cove.core.published import file_object, files_of, metadata_of

RESULTS = (
    ResultFile("configuration.log", 1, "configurationLog", "a1", "k0"),
    ResultFile("algorithm.log", 1, "algorithmLog", "a2", "k1"),
    ResultFile("a/b.csv", 1, "output", "a3", "k2"),
    ResultFile("outputs.tar", 1, "output", "", ""),
    ResultFile("receipt.json", 1, "publishLog", "a4", "k3"),
)
JOB = a_job(
    phase=Phase.DONE,
    outcome=Outcome.SUCCEEDED,
    results=RESULTS,
    finished_at=1_700_000_000.5,
    image_digest="sha256:ab",
    input_digests=(("/data/transformations/algorithm", "sha256:cd"), ("/data/inputs/x/0", "stat:secret")),
)
PACKAGE = Package(
    (InputAsset("did:op:1", "s1", None, userdata='{"private": 1}'),),
    InputAsset("did:op:3", "s3", None),
    Container("cove/host", "1", "sha256:ef"),
)


@pytest.mark.parametrize(("with_log", "keys"), [(False, ["k2"]), (True, ["k2", "k1"])])
def test_its_files_are_the_outputs_and_the_log_where_it_is_wanted(*, with_log: bool, keys: list[str]) -> None:
    assert [one.key for one in files_of(JOB, AssetWish("{}", with_log=with_log))] == keys


def test_there_is_none_of_a_job_that_failed_or_released_nothing() -> None:
    wish = AssetWish("{}", with_log=True)
    assert files_of(replace(JOB, outcome=Outcome.TIMED_OUT), wish) == ()
    assert files_of(replace(JOB, results=RESULTS[:2]), wish) == ()


def test_a_file_list_says_which_result_and_never_whose() -> None:
    assert file_object(3, replace(RESULTS[2], filename="a/\udcff")) == {"type": "result", "index": 3, "filename": "?"}


def test_an_asset_says_where_it_comes_from_and_tells_nobody_the_jobs_id() -> None:
    given = {"name": "Mean", "additionalInformation": {"unit": "mmHg"}}
    said = metadata_of(AssetWish(json.dumps(given)), JOB, PACKAGE, "0xProvider")
    assert said["name"] == "Mean"
    assert said["additionalInformation"]["unit"] == "mmHg"
    origin = said["additionalInformation"]["provenance"]
    assert origin["inputs"] == [{"did": "did:op:1", "serviceId": "s1"}]
    assert origin["algorithm"]["did"] == "did:op:3"
    assert origin["algorithm"]["files"] == [{"place": "/data/transformations/algorithm", "sha256": "cd"}]
    assert origin["container"] == {"image": "cove/host:1", "digest": "sha256:ab"}
    assert (origin["receipt"], origin["finished"]) == ("a4", "2023-11-14T22:13:20Z")
    text = json.dumps(said)
    assert JOB.id not in text
    assert "private" not in text
    assert "secret" not in text
