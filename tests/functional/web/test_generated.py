"""Thousands of requests that are made from the OpenAPI document: none is our fault, none is answered outside of it."""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from starlette.types import ASGIApp
from tests.functional.web.populated import World, populated
from tests.support.generated import BASE, Sent, Wanted, send
from tests.support.house import House, house

from cove.web.app import create_app
from cove.wire import answers

__all__ = ["house"]

REQUESTS = int(os.environ.get("COVE_TEST_REQUESTS", "2000"))
#: Parts of them, which may run at the same time, each with draws of its own.
PARTS = max(1, REQUESTS // 5000)
EACH = REQUESTS // PARTS
SEED = int(os.environ.get("COVE_TEST_SEED", "1"))
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
#: They take no parameters, so that there is little to draw.
#: This house shows no live logs, no drawn bytes are a DDO, and few draws name a token that is still good with a nonce that
#: is; what they answer else is tried by ``tests/functional/examples``.
REFUSED = {
    "GET /api/services/computeLogs",
    "POST /api/aquarius/assets/ddo/validate",
    "DELETE /api/services/deleteAuthToken",
}
PLAIN = {
    "GET /",
    "GET /health",
    "GET /api/services/computeEnvironments",
    "GET /api/services/computeEnvironmentList",
    "GET /api/aquarius/chains/list",
}
NODE_ANSWERS = {"InitializedJob", "NodeEnvironment", "NodeItem", "NodeToken", "NodeTokenTaken", "ResourceOffer"}
#: So many requests in a row go to one operation, so that each sees what the others did.
TURN = max(20, min(200, EACH // 100))
MOST_SHOWN = 5
#: So many requests reach a success of every operation.
ENOUGH = 2000

load_all_checks()
CONFORMS = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    )
]  # fmt: skip


@dataclass
class Run:
    """Sends what is drawn, and counts."""

    app: ASGIApp
    loop: asyncio.AbstractEventLoop
    world: World
    made: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Count the requests that were answered."""
        return sum(self.made.values())

    def case(self, case: Case) -> None:
        """Send a drawn request as it is, then with what is known put into it."""
        label = case.operation.label
        drawn = Sent(**case.as_transport_kwargs(base_url=BASE))
        self._send(case, drawn)
        if case.method == case.operation.method.upper():
            wanted = Wanted(case.method, case.operation.path, dict(case.query or {}), drawn.get("data", case.body))
            for variant in self.world.variants(label, wanted):
                self._send(case, variant)

    def _send(self, case: Case, sent: Sent) -> None:
        label = case.operation.label
        answer = send(self.loop, self.app, sent)
        self.made[label] += 1
        self.answers[f"{label} {answer.status_code}"] += 1
        try:
            case.validate_response(answer, checks=CONFORMS)
        except FailureGroup as found:
            causes = "; ".join(f"{type(one).__name__} {one.message}" for one in found.exceptions)
            self.problems.append(f"{sent.told()} -> {answer.status_code} {answer.content[:300]!r}: {causes[:600]}")


@pytest.mark.parametrize("part", range(PARTS))
def test_no_generated_request_is_answered_outside_of_the_document(
    house: House, loop: asyncio.AbstractEventLoop, world: World, part: int
) -> None:
    app = create_app(house.cove)
    run = Run(app, loop, world)
    schema = schemathesis.openapi.from_dict(_strict(app.openapi()))
    operations = [found.ok() for found in schema.get_all_operations()]
    plain = _in_turn([_covering(schema, operation) for operation in operations if operation.label in PLAIN])
    covering = _in_turn([_covering(schema, operation) for operation in operations if operation.label not in PLAIN])
    for case in itertools.chain(plain, itertools.islice(covering, part, None, PARTS)):
        if run.total >= EACH // 2:
            break
        run.case(case)
    drawing = [operation for operation in operations if operation.label not in PLAIN]
    for turn, operation in enumerate(itertools.cycle(drawing)):
        if run.problems or run.total >= EACH:
            break
        loop.run_until_complete(world.restock())
        _draw(operation, run, SEED + turn * PARTS + part)
    print(  # noqa: T201 - shown where it fails
        f"seed {SEED}", *(f"{count:6} {label}" for label, count in sorted(run.answers.items())), sep="\n"
    )
    assert not run.problems, "\n\n".join(run.problems[:MOST_SHOWN])
    assert run.total >= EACH
    succeeded = {answer.rpartition(" ")[0] for answer in run.answers if answer.rpartition(" ")[2].startswith("2")}
    missed = {operation.label for operation in operations} - succeeded - REFUSED
    assert not missed or EACH < ENOUGH, "requests that never get past the checks of form find little"


def _strict(document: dict[str, Any]) -> dict[str, Any]:
    """Give a document whose answers may have no field that it does not name."""
    strict = copy.deepcopy(document)
    for name, model in strict["components"]["schemas"].items():
        if hasattr(answers, name) or name in NODE_ANSWERS:
            model["additionalProperties"] = False
    return strict


def _covering(schema: Any, operation: Any) -> Iterator[Case]:
    """Give the cases at the borders of what the document allows, on both sides of them."""
    config = schema.config.generation_for(operation=operation, phase="coverage")
    return schema.iter_coverage_cases(operation, generation_modes=MODES, generation_config=config)


def _in_turn(sources: list[Iterator[Case]]) -> Iterator[Case]:
    """Give one of each by turns, as long as any has more."""
    while sources:
        for source in list(sources):
            try:
                yield next(source)
            except StopIteration:
                sources.remove(source)


def _draw(operation: Any, run: Run, number: int) -> None:
    """Send some drawn requests to one operation."""
    until = run.made[operation.label] + TURN
    modes = MODES if operation.query or operation.body else MODES[:1]
    strategy = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

    @seed(number)
    @settings(
        max_examples=TURN // 3,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(case: Case) -> None:
        if run.made[operation.label] < until:
            run.case(case)

    each()


@pytest.fixture
async def loop(house: House) -> asyncio.AbstractEventLoop:
    """Give the loop that the house lives in; it runs while a request is answered."""
    return asyncio.get_running_loop()


@pytest.fixture
async def world(house: House) -> AsyncIterator[World]:
    """Fill the house: a dataset, a table, an algorithm, orders of them, and jobs; none goes on at the end."""
    async with populated(house) as world:
        yield world
