from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.jobs import a_full_job, a_job

from cove.core.errors import Unavailable
from cove.core.job import Job
from cove.stores.codec import COLUMNS, decode, encode

# Any text at all, lone surrogates too: names of a hostile algorithm's files are in verdicts.
any_text = st.text(st.characters(exclude_categories=()), max_size=8)


def row(job: Job) -> tuple[object, ...]:
    columns = {**encode(job), "place": job.place}
    return tuple(columns[name] for name in COLUMNS)


@given(st.from_type(Job), any_text)
def test_every_job_comes_back_as_it_was(job: Job, text: str) -> None:
    # Compared as text: NaN is unlike itself.
    assert repr(decode(row(job))) == repr(job)
    odd = a_job(message=text, order_keys=(text,), input_digests=((text, text),))
    assert decode(row(odd)) == odd
    encode(odd)["document"].encode("ascii")


def test_no_field_is_left_out() -> None:
    job = a_full_job(version=7, delete_requested_at=2.0)
    plain = a_job(id=job.id)
    same = {field.name for field in fields(Job) if getattr(job, field.name) == getattr(plain, field.name)}
    assert same <= {
        "id", "owner", "chain_id", "environment", "dataset_dids", "algorithm_did", "resources", "created_at",
        "expires_at", "order_keys", "phase", "place",
    }  # fmt: skip
    assert decode(row(job)) == job


def test_a_plain_job_is_small() -> None:
    assert len(encode(a_job())["document"]) < 600


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", "null", '{"owner":1}'])
def test_a_damaged_row_is_told_by_its_job(document: str) -> None:
    job = a_job()
    with pytest.raises(Unavailable, match=job.id):
        decode((*row(job)[:-1], document))


def test_a_field_that_is_not_known_is_passed_over() -> None:
    job = a_full_job()
    document = {**json.loads(encode(job)["document"]), "later": 1}
    assert decode((*row(job)[:-1], json.dumps(document))) == job
