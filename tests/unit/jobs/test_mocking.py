from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.jobs import a_job

from cove.core.errors import DataMissing, Refused
from cove.core.files import SampleFile
from cove.core.job import Container, InputAsset, Package, SampleFiles, SealedFiles
from cove.jobs import mocking
from cove.jobs.orders import Priced
from cove.jobs.steps import pack, unpack

SAMPLED = InputAsset("did:op:1", "0", SampleFiles(("/srv/a.csv", "/srv/b.csv")))
PRIVATE = InputAsset("did:op:2", "0", SealedFiles("0x00", "0x1", "0x2"))
CODE = InputAsset("", "", None)


def package(*datasets: InputAsset) -> Package:
    return Package(datasets, CODE, Container("cove/host"), "print(1)")


@pytest.mark.parametrize("datasets", [(SAMPLED, PRIVATE), (PRIVATE, SAMPLED, PRIVATE)])
def test_a_job_that_mixes_samples_with_private_data_does_not_run_and_is_no_mock_job(
    datasets: tuple[InputAsset, ...],
) -> None:
    assert not package(*datasets).mock
    with pytest.raises(DataMissing, match="mixes"):
        mocking.check_package(package(*datasets))


def test_a_job_is_mock_by_what_it_holds_and_stays_so_when_it_is_written_down() -> None:
    for datasets, mock in (((SAMPLED, SAMPLED), True), ((PRIVATE,), False), ((), False)):
        found = unpack(pack(package(*datasets)))
        mocking.check_package(found)
        assert (found, found.mock) == (package(*datasets), mock)
    assert mocking.listed(SampleFiles(("/srv/a.csv",))).files == (SampleFile("/srv/a.csv"),)


def test_a_restart_does_not_change_what_a_job_is() -> None:
    for job in (a_job(), a_job(mock=True)):
        mocking.check_same(job, None)
        mocking.check_same(job, job.mock)
        with pytest.raises(Refused, match="mock: is_"):
            mocking.check_same(replace(job), not job.mock)


def test_what_is_at_another_provider_is_in_no_mock_job() -> None:
    asset: Any = None
    here, there = (Priced(f"datasets[{int(other)}]", asset, asset, None, elsewhere=other) for other in (False, True))
    mocking.check_here([here])
    with pytest.raises(Refused, match=r"datasets\[1\]\.serviceId: mock_elsewhere"):
        mocking.check_here([here, there])
