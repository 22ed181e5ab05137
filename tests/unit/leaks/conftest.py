"""Made-up people, and their index."""

from __future__ import annotations

import pytest
from tests.support import leaking, schemas
from tests.support.leakcheck import index_of

from cove.leaks.index import Index


@pytest.fixture(scope="session")
def table() -> schemas.Table:
    return schemas.people(20_000)


@pytest.fixture(scope="session")
def index(table: schemas.Table) -> Index:
    return index_of(leaking.as_csv(table))
