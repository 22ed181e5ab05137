"""Makes a sample of a table: reads it for its form, makes values, and reads it again for those that it has too."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cove.sampling.errors import TableWrong
from cove.sampling.profiles import MOST_LABELS, Profile
from cove.sampling.tables import Table
from cove.sampling.values import Maker

MOST_ROWS: Final = 100_000
_TRIES: Final = 6


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample, and what it was made by."""

    names: tuple[str, ...]
    #: Arrow arrays.
    columns: tuple[Any, ...]
    profiles: tuple[Profile, ...]


def profiled(table: Table, keep: Collection[str]) -> tuple[Profile, ...]:
    """Read a table once, and give what a sample may know of each column. Blocking.

    Args:
        table: What to read.
        keep: Names of columns whose labels are no secret.

    Raises:
        TableWrong: It has no rows, no such column, or too many labels in one.
    """
    for name in keep:
        if name not in table.names:
            raise TableWrong(f"The table has no column {name!r}.")
    blank = table.form.ending in {"csv", "tsv"}
    profiles = tuple(
        Profile(name, kind, keep=name in keep, blank=blank) for name, kind in zip(table.names, table.types, strict=True)
    )
    for batch in table.batches():
        for profile, cells in zip(profiles, batch.columns, strict=True):
            profile.take(cells)
            if len(profile.labels) > MOST_LABELS:
                text = f"Column {profile.name!r} has more than {MOST_LABELS} different values, which are no categories."
                raise TableWrong(text, hint="Leave out --keep-categories for it.")
    if not profiles or not profiles[0].rows:
        raise TableWrong("The table has no rows, so that there is no form to go by.")
    for profile in profiles:
        if profile.keep and not profile.labels:
            raise TableWrong(f"Column {profile.name!r} has no labels that could be kept.")
    return profiles


def sample_of(table: Table, profiles: Sequence[Profile], rows: int, chance: random.Random, *, written: bool) -> Sample:
    """Make a sample. Blocking.

    Args:
        table: What it is of; it is read once, or some times more where values came by chance that it has.
        profiles: Of its columns.
        rows: How many to make.
        chance: Where values come from.
        written: Whether whoever reads the sample finds out the types by its texts.

    Raises:
        TableWrong: Values other than the table's own cannot be found.
    """
    makers = [Maker(profile, rows, chance, written=written) for profile in profiles]
    cells = [maker.column() for maker in makers]
    for attempt in range(1, _TRIES + 1):
        columns = [_array(made, profile) for made, profile in zip(cells, profiles, strict=True)]
        shared = _shared(table, makers, columns)
        texts = any(places for places, profile in zip(shared, profiles, strict=True) if profile.kind == "text")
        # A table may have every number that its type has; texts there are always others.
        if not any(shared) or (attempt == _TRIES and not texts):
            return Sample(tuple(table.names), tuple(columns), tuple(profiles))
        for maker, made, places in zip(makers, cells, shared, strict=True):
            _replace(maker, made, places, attempt)
    raise TableWrong("No values could be found that the table has not.", hint="Try another --seed.")


def _replace(maker: Maker, made: list[Any], places: Collection[int], attempt: int) -> None:
    """Put others in place of values; equal ones get the same other."""
    others: dict[Any, Any] = {}
    taken = set(made)
    for at in sorted(places):
        value = made[at]
        if value not in others:
            others[value] = maker.other(taken, attempt)
            taken.add(others[value])
        made[at] = others[value]


def _array(cells: Sequence[Any], profile: Profile) -> Any:  # noqa: ANN401 - Arrow has no types
    kind = profile.type
    if profile.keep or profile.kind in {"none", "yes", "whole", "point", "text"}:
        value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
        return pa.array(cells, value_type)
    narrow = kind in {pa.date32(), pa.time32("s"), pa.time32("ms")}
    return pa.array(cells, pa.int32() if narrow else pa.int64()).cast(kind)


def _shared(table: Table, makers: Sequence[Maker], columns: Sequence[Any]) -> list[set[int]]:
    """Say which cells of each column have a value that they must not: texts none of any column, others of their own."""
    kinds = [profile.kind for profile in _profiles(makers)]
    wanted = [maker.must_differ() for maker in makers]
    texts = [at for at, kind in enumerate(kinds) if kind == "text" and wanted[at]]
    pooled = pa.concat_arrays([columns[at].cast(pa.large_string()) for at in texts]) if texts else None
    found_texts = None if pooled is None else pa.array([False] * len(pooled))
    found = [
        None if not want or at in texts else pa.array([False] * len(columns[at])) for at, want in enumerate(wanted)
    ]
    for batch in table.batches():
        for at, cells in enumerate(batch.columns):
            plain = cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells
            if kinds[at] == "text" and pooled is not None:
                here = pc.is_in(pooled, value_set=plain.drop_null().cast(pa.large_string()))
                found_texts = pc.or_(found_texts, here)
            elif found[at] is not None:
                found[at] = pc.or_(found[at], pc.is_in(columns[at], value_set=plain.drop_null()))
    places = [set() if one is None else _true(one) for one in found]
    if found_texts is not None:
        start = 0
        for at in texts:
            places[at] = _true(found_texts.slice(start, len(columns[at])))
            start += len(columns[at])
    return places


def _profiles(makers: Sequence[Maker]) -> list[Profile]:
    return [maker.profile for maker in makers]


def _true(mask: Any) -> set[int]:  # noqa: ANN401 - Arrow has no types
    return {at for at, hit in enumerate(mask.to_pylist()) if hit}
