"""The service of a soak, as a process that is killed over and over: ``python -m tests.soak.service FOLDER``."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from tests.soak.kinds import CHECKSUM
from tests.support import daemons

from cove.cli.server import run_server
from cove.core.errors import CoveError
from cove.settings import Settings
from cove.wiring.assembly import open_cove

KEY = "11" * 32
UIDS = 64
NAME = "cove-soak"


def first_uid(port: int) -> int:
    """Give uids that no other soak on this host has: its port is its own."""
    return 2_000_000 + port * UIDS


def cgroup(port: int) -> str:
    """Give the name of its group, likewise."""
    return f"cove-soak-{port}"


def settings_for(folder: Path, docker: str, port: int) -> Settings:
    """Give the settings; ``docker`` is a daemon's address, or empty."""
    place: dict[str, Any] = {"memory": 96 << 20, "disk": 16 << 20, "inodes": 1000, "max_jobs": 3, "max_duration": 600}
    environments = [{"id": "default", **place}]
    engines = {}
    if docker:
        environments.append({"id": "containers", "engine": "far", **place})
        engines["far"] = {"kind": "docker", "host": docker, "helper": daemons.HELPER, "name": NAME}
    fields: dict[str, Any] = {
        "state_dir": folder / "state",
        "key": SecretStr(KEY),
        "environments": tuple(environments),
        "engines": engines,
        "images": {
            "cove/host": {"kind": "host"},
            "cove/broken": {"kind": "rootfs", "path": folder / "no-such-folder"},
            "host": {"kind": "registry", "checksum": CHECKSUM},
        },
        "sandbox": {"first_uid": first_uid(port), "uids": UIDS, "cgroup": cgroup(port)},
        "local": {"data": {"path": folder / "data", "publishers": ("*",)}},
        "limits": {"client": 0, "address": 0, "outside": 0, "failures": 0},
        "poll_seconds": 0.5,
    }
    return Settings(**fields)


async def main(folder: Path) -> None:
    """Serve until SIGTERM; the port is in the file ``port``."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    docker, port = (folder / "docker").read_text(), int((folder / "port").read_text())
    async with open_cove(settings_for(folder, docker, port)) as cove:
        await run_server(cove, "127.0.0.1", port, started=lambda _: os.write(1, b"up\n"), stop=stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except CoveError as problem:  # as ``cove serve`` does
        sys.exit(problem.message)
