"""One chain and one Cove for all tests of this folder; they are skipped where their parts are missing."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Iterator

import pytest
from tests.compat.world import (
    ALGORITHM,
    BOOK,
    INSTALLED,
    OTHER_TABLE,
    STRANGER,
    TABLE,
    World,
    anvil,
    deploy,
    deploy_payments,
    publish_assets,
    raw,
    settings_text,
)
from tests.support.http_server import serving
from tests.support.programs import running


@pytest.fixture(scope="session")
def rpc() -> Iterator[str]:
    """Give the URL of a chain: anvil's, with blocks as transactions come."""
    if shutil.which("node") is None:
        pytest.skip("node is not there: apt-get install nodejs npm, then run tests/compat/install.sh")
    if not INSTALLED.is_file():
        pytest.skip("ocean.js and anvil are not there: run tests/compat/install.sh (it needs npm)")
    with anvil() as url:
        yield url


@pytest.fixture(scope="session")
def world(rpc: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve two tables, an algorithm and a book; tests share them, so each starts jobs of its own."""
    folder = tmp_path_factory.mktemp("compat")
    with serving() as files:
        for name, content in (("table.csv", TABLE), ("other.csv", OTHER_TABLE), ("book.txt", BOOK)):
            files.serve(content, f"/{name}", headers="Content-Type: text/csv\r\n")
        files.serve(ALGORITHM.encode(), "/algorithm.py")
        addresses = asyncio.run(deploy(rpc))
        escrow = asyncio.run(deploy_payments(rpc, addresses))
        settings = folder / "cove.toml"
        settings.write_text(settings_text(rpc, addresses, folder, files.port, escrow.address))
        with running("serve", "--settings", settings) as service:
            url = service.line(r"listening on (http://\S+)")[1]
            assets = asyncio.run(publish_assets(rpc, addresses, url, files))
            yield World(url, rpc, addresses, files, *assets)
            service.signal(signal.SIGTERM)
            assert service.end() == 0


@pytest.fixture(scope="session")
def strangers_job(world: World) -> tuple[str, str]:
    """Start a job of another account; give the transaction of its order, and its id."""
    order_tx = world.order(STRANGER, world.table, raw(ALGORITHM))
    return order_tx, world.start(STRANGER, world.table, order_tx, raw(ALGORITHM))
