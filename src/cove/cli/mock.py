"""The data owner's command about mock runs; it needs no running service."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cove.cli import output
from cove.cli.owner import AsJson, owner_errors

if TYPE_CHECKING:
    from cove.sampling.making import Sample
    from cove.sampling.profiles import Profile
    from cove.sampling.tables import Table, Written

_MOST_ROWS: Final = 100_000
_SHOWN: Final = (
    "The sample shows of the table: the names and types of its {} columns; ranges of numbers and of texts' lengths, "
    "rounded outwards to one digit (numbers below 10, and a length that all have, exactly); which kinds of characters "
    "texts have; how many decimals numbers have; the first and last year of dates within 5 years; shares of empty "
    "cells within a twentieth; which columns have no value twice, and for texts of up to 20 different values about how "
    "many."
)


def make(  # noqa: PLR0917 - typer reads options from parameters
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, JSON lines, JSON, Parquet or Excel.")],
    target: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: sample with the table's ending.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=_MOST_ROWS, help="How many to make.")] = 100,
    seed: Annotated[int | None, typer.Option("--seed", help="The same again. Default: each time another.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep-categories", metavar="COLUMN", help="Its labels are no secret; may be repeated."),
    ] = None,
    no_header: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--no-header", help="The first row of a CSV is data, and not names.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Make a synthetic sample with the schema of a table, and say what of the table it gives away."""
    import random  # noqa: PLC0415 - with the next, used here alone

    from cove.sampling.making import profiled, sample_of  # noqa: PLC0415 - slow to import
    from cove.sampling.tables import open_table  # noqa: PLC0415 - as the one before
    from cove.sampling.writing import write  # noqa: PLC0415 - as the one before

    with owner_errors(as_json=as_json):
        opened = open_table(table, header=False if no_header else None)
        place, form = _target(table, target, opened, force=force)
        chance = random.Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311 - it guards nothing
        profiles = profiled(opened, keep or ())
        written = form.ending in {"csv", "tsv", "json", "jsonl"}
        sample = sample_of(opened, profiles, rows, chance, written=written)
        write(sample, form, place, overwrite=force)
    if as_json:
        columns = [_column(profile) for profile in profiles]
        output.document({"file": str(place), "rows": rows, "columns": columns, "reveals": _told(sample)})
    else:
        output.say(_told(sample))
        typer.echo(str(place))


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="Samples for mock runs.", no_args_is_help=True)
    app.callback()(_group)
    app.command("make")(make)
    return app


def _group() -> None:
    """Keep ``make`` a command of its own, as others may come."""


def _target(table: Path, target: Path | None, opened: Table, *, force: bool) -> tuple[Path, Written]:
    """Give where the sample goes and in which form, before anything is read for long.

    Raises:
        TableWrong: It cannot go there.
    """
    from cove.sampling.errors import TableWrong  # noqa: PLC0415 - slow to import
    from cove.sampling.tables import Written  # noqa: PLC0415 - as the one before
    from cove.sampling.writing import ENDINGS  # noqa: PLC0415 - as the one before

    place = target or Path(f"sample.{opened.form.ending}")
    ending = place.suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        raise TableWrong(f"The ending of {place} says no form of a table.", hint=f"Use .{', .'.join(ENDINGS)}.")
    if place.exists() and place.samefile(table):
        raise TableWrong(f"{place} is the table itself.", hint="Name another file with --output.")
    if place.exists() and not force:
        raise TableWrong(f"The file {place} is there already.", hint="Give --force to replace it.")
    same = ending == opened.form.ending
    return place, opened.form if same else Written(ending)


def _told(sample: Sample) -> str:
    """Say in a paragraph what of the table is in the sample."""
    profiles = sample.profiles
    kept = [profile.name for profile in profiles if profile.keep]
    nested = [profile.name for profile in profiles if profile.kind == "none" and profile.empty < profile.rows]
    parts = [_SHOWN.format(len(profiles))]
    if kept:
        parts.append(f"The labels of {_listed(kept)} are the table's own, as you asked.")
    if nested:
        parts.append(f"{_listed(nested)} hold what no values are made for, and are empty.")
    parts.append("It shows no text of the table, nor how columns hang together. Look at it before you use it.")
    return " ".join(parts)


def _listed(names: list[str]) -> str:
    return ", ".join(output.one_line(name) for name in names)


def _column(profile: Profile) -> dict[str, Any]:
    low, high = profile.bounds
    ranged = profile.kind in {"whole", "point", "duration", "text"} and not profile.keep and profile.low is not None
    return {
        "name": profile.name,
        "type": str(profile.type),
        "empty": round(profile.empties, 2),
        "unique": profile.unique and profile.kind in {"text", "whole"} and profile.low is not None,
        "range": [low, high] if ranged else None,
        "labels": [str(label) for label in profile.labels] if profile.keep else None,
    }
