"""Jobs on container daemons: left out where these are tested apart (``.ci/run``)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.support import daemons

collect_ignore_glob = ["test_*.py"] if os.environ.get("COVE_TEST_DAEMONS") == "0" else []


@pytest.fixture(scope="session", autouse=True)
def _no_daemon_stays() -> Iterator[None]:
    yield
    daemons.end_all()
