"""Handles are another name for each id, which only the key turns back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.job import JobId
from cove.crypto.box import KeyVault
from cove.crypto.handles import Handles
from cove.crypto.keys import Account

OURS = Handles(KeyVault(Account(b"\x01" * 32)))
OTHERS = Handles(KeyVault(Account(b"\x02" * 32)))
ids = st.binary(min_size=16, max_size=16).map(lambda block: JobId(block.hex()))


@given(ids)
def test_a_handle_leads_back_to_its_id_and_to_no_other(job_id: JobId) -> None:
    handle = OURS.of(job_id)
    assert len(handle) == 32
    assert handle != job_id
    assert OURS.job(handle) == job_id
    assert OTHERS.job(handle) != job_id


@given(ids, ids)
def test_two_ids_never_share_a_handle(one: JobId, other: JobId) -> None:
    assert (OURS.of(one) == OURS.of(other)) is (one == other)


@pytest.mark.parametrize("text", ["", "00", "0" * 30, "0" * 34, "z" * 32])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - by fromhex or by us
        OURS.of(JobId(text))
