from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.audit import FIRST, Entry, Head, Record, Verification, chained, hash_of

ENTRIES = [
    Entry(float(at), "0xA", "vote", "job:1/1", {"sha256": "ab", "n": at, "naïve": "\u2028\ud800"}) for at in range(6)
]


def chain(entries: list[Entry] = ENTRIES) -> list[Record]:
    records: list[Record] = []
    head = Head(0, FIRST)
    for entry in entries:
        record = chained(entry, head)
        records.append(record)
        head = Head(record.number, record.hash)
    return records


def problems(records: list[Record], counted: int | None = None, heads: tuple[str, ...] = ()) -> list[str]:
    look = Verification(heads)
    for record in records:
        look.follow(record)
    look.end(counted)
    return look.problems


def test_a_whole_log_is_well() -> None:
    records = chain()
    assert problems(records, 6, (records[2].hash, f"sha256:{records[5].hash.upper()}")) == []
    assert problems([], 0) == []
    assert all(record.text.isascii() for record in records)


@given(
    number=st.integers(0, 5),
    field=st.sampled_from(["time", "actor", "action", "subject", "details", "previous", "number"]),
)
def test_a_changed_record_is_found_however_well_it_was_forged(number: int, field: str) -> None:
    records = chain()
    said = json.loads(records[number].text)
    said[field] = (
        77 if field in {"time", "number"} else {"x": 1} if field == "details" else "0" * 64 if number else "1" * 64
    )
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert problems([*records[:number], replace(records[number], text=text), *records[number + 1 :]])
    if number < 5:
        forged = Record(number + 1, text, hash_of(text))
        assert problems([*records[:number], forged, *records[number + 1 :]])


def test_a_log_that_was_forged_to_its_end_has_not_the_hash_that_was_kept() -> None:
    kept = chain()[-1].hash
    forged = chain([*ENTRIES[:2], replace(ENTRIES[2], action="release"), *ENTRIES[3:]])
    assert problems(forged, 6) == []
    assert "is not in the log" in problems(forged, 6, (kept,))[0]


@given(number=st.integers(0, 5))
def test_a_removed_record_is_found(number: int) -> None:
    records = chain()
    left = [*records[:number], *records[number + 1 :]]
    assert problems(left, 6)
    if number < 5:
        assert problems(left)


@given(first=st.integers(0, 5), second=st.integers(0, 5))
def test_a_new_order_is_found(first: int, second: int) -> None:
    records = chain()
    records[first], records[second] = records[second], records[first]
    assert bool(problems(records, 6)) is (first != second)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number":1}', "[" * 100_000, '{"number": 1}'])
def test_what_is_no_record_is_found(text: str) -> None:
    assert problems([Record(1, text, hash_of(text))])
