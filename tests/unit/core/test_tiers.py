"""How much of an environment a job gets where its consumer may choose."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.support.jobs import RESOURCES

from cove.core.errors import Refused
from cove.core.tiers import GIB, amounts_of, chosen, offers

LIMITS = replace(RESOURCES, cpus=4.0, memory_bytes=8 * GIB, disk_bytes=GIB // 4)


def ask(**amounts: str) -> tuple[tuple[str, Decimal], ...]:
    return tuple((name, Decimal(amount)) for name, amount in amounts.items())


def test_what_is_offered_are_the_limits() -> None:
    assert [(one.id, one.least, one.most) for one in offers(LIMITS)] == [
        ("cpu", 1, 4.0),
        ("ram", 1, 8.0),
        ("disk", 0.25, 0.25),
    ]
    assert [one.id for one in offers(replace(LIMITS, gpus=2))] == ["cpu", "ram", "disk", "gpu"]


def test_what_is_not_asked_for_is_given_at_its_least() -> None:
    assert chosen(LIMITS, ()) == replace(LIMITS, cpus=1, memory_bytes=GIB)
    assert chosen(replace(LIMITS, gpus=2), ()).gpus == 0


def test_what_is_asked_for_is_given() -> None:
    given = chosen(replace(LIMITS, gpus=2), ask(cpu="2.5", ram="4", gpu="1"))
    assert (given.cpus, given.memory_bytes, given.disk_bytes, given.gpus) == (2.5, 4 * GIB, GIB // 4, 1)
    assert amounts_of(given) == (("cpu", 2.5), ("ram", 4.0), ("disk", 0.25), ("gpu", 1.0))
    assert chosen(LIMITS, ask(cpu="0", ram="8")) == replace(LIMITS, cpus=1)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (ask(cpu="4.0001"), "resource_out_of_range"),
        (ask(disk="1"), "resource_out_of_range"),
        (ask(gpu="1"), "resource_unknown"),
        (ask(qubit="0"), "resource_unknown"),
    ],
)
def test_what_there_is_not_is_refused(asked: tuple[tuple[str, Decimal], ...], reason: str) -> None:
    with pytest.raises(Refused) as problem:
        chosen(LIMITS, asked)
    assert (problem.value.field, problem.value.reason) == ("resources", reason)
    assert problem.value.hint
