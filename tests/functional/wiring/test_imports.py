"""A command that opens a part of the service waits for that part to be imported, and no other."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("aiohttp", "cove.engines", "cove.ledgers", "cove.web", "eth_abi", "fastapi", "pyarrow", "sqlalchemy")


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("state", []),
        ("images", []),
        ("reviewing", ["sqlalchemy"]),
        ("grants", ["aiohttp", "cove.ledgers", "eth_abi", "sqlalchemy"]),
    ],
)
def test_a_part_is_imported_without_the_others(module: str, needed: list[str]) -> None:
    script = f"import sys, cove.wiring.{module}; print(*(name for name in {SLOW} if name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120)
    assert ended.stdout.split() == needed
