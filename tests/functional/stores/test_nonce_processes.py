"""Two services on one database take every nonce once between them, whatever comes when (section 6.2 of the API)."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import postgresql

from cove.stores import SqlJobStore, SqlNonceStore
from cove.stores.database import sqlite_url

NUMBERS = itertools.count(1)
NANOSECONDS = 1_700_000_000_000_000_000
Asked = tuple[str, str]


@dataclass
class Two:
    """Two processes on one database."""

    url: str
    processes: tuple[subprocess.Popen[str], ...]

    def ask(self, first: list[Asked], second: list[Asked]) -> list[list[bool]]:
        """Let both take nonces at the same time, and give what each was told."""
        for process, asked in zip(self.processes, (first, second), strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        return [self._answer(process) for process in self.processes]

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> list[bool]:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the process ended"
        answer: list[bool] = json.loads(line)
        return answer


@contextlib.contextmanager
def two_processes(url: str) -> Iterator[Two]:
    script = Path(__file__).with_name("nonce_process.py")
    processes = tuple(
        subprocess.Popen([sys.executable, script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield Two(url, processes)
    finally:
        for process in processes:
            process.communicate(timeout=120)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    if request.param == "sqlite":
        with two_processes(sqlite_url(tmp_path_factory.mktemp("two") / "cove.db")) as made:
            yield made
        return
    with (
        postgresql.server() as on,
        postgresql.database(on) as url,
        two_processes(url.render_as_string(hide_password=False)) as made,
    ):
        yield made


def spellings(value: Decimal) -> st.SearchStrategy[str]:
    """Give texts of one number: ``5``, ``5.0``, ``05.00``."""
    plain = f"{value:f}"
    ended = plain if "." in plain else f"{plain}."
    return st.sampled_from([plain, f"{ended}0", f"{ended}00", f"0{plain}", f"000{ended}000"])


VALUES = st.one_of(
    st.integers(0, 6).map(Decimal),
    st.integers(0, 60).map(lambda tenths: Decimal(tenths) / 10),
    st.integers(NANOSECONDS, NANOSECONDS + 3).map(Decimal),
    st.sampled_from([Decimal("1700000000000.5"), Decimal("1700000000000.49"), Decimal(10) ** 39]),
)
#: Two accounts, each in two spellings.
REQUESTS = st.tuples(st.sampled_from("aAbB"), VALUES.flatmap(spellings))
VOLLEYS = st.lists(st.tuples(st.lists(REQUESTS, max_size=6), st.lists(REQUESTS, max_size=6)), min_size=1, max_size=4)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(volleys=VOLLEYS, same=st.booleans())
def test_no_schedule_makes_two_processes_take_one_nonce(
    two: Two, volleys: list[tuple[list[Asked], list[Asked]]], *, same: bool
) -> None:
    run = f"{next(NUMBERS):x}"  # accounts of this schedule alone
    last: dict[str, Decimal] = {}
    for first, other in volleys:
        second = first if same else other
        pair = [[(f"0x{account}{run}", nonce) for account, nonce in asked] for asked in (first, second)]
        answers = two.ask(*pair)
        for account in {address.lower() for asked in pair for address, _ in asked}:
            told = [
                (Decimal(nonce), taken)
                for asked, answer in zip(pair, answers, strict=True)
                for (address, nonce), taken in zip(asked, answer, strict=True)
                if address.lower() == account
            ]
            taken = [value for value, was_taken in told if was_taken]
            before = last.get(account, Decimal(-1))
            assert len(set(taken)) == len(taken), "one nonce was taken twice"
            assert all(value > before for value in taken), "a nonce went back"
            highest = max(value for value, _ in told)
            assert (highest in taken) == (highest > before), (
                "the greatest one is always taken, and no other is the last"
            )
            last[account] = max(before, highest)


def test_two_processes_sent_the_same_requests_do_each_once(two: Two) -> None:
    """The attack itself: one signed body, sent to both workers at once, with the address in another case."""
    run = f"{next(NUMBERS):x}"
    for number in range(1, 30):
        answers = two.ask([(f"0xABC{run}", f"{number}")], [(f"0xabc{run}", f"{number}.0")])
        assert sorted(answers) == [[False], [True]]


async def test_what_one_process_took_the_other_one_tells(two: Two) -> None:
    run = f"{next(NUMBERS):x}"
    two.ask([(f"0xAbC{run}", str(NANOSECONDS + 7))], [])
    store = SqlJobStore(two.url)
    await store.start()
    assert await SqlNonceStore(store).last(f"0xABC{run}") == str(NANOSECONDS + 7)
    await store.close()
