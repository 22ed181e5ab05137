"""The state folder and the provider's key: what must be there before anything is built."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cove.core.errors import SettingsWrong
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.ports import Finding
from cove.settings import Settings

DATABASE_FILE = "cove.db"
"""Where the state folder's database is, unless ``database_url`` names another."""


def prepare_state(folder: Path) -> Path:
    """Make the state folder, for the service's user alone.

    Raises:
        SettingsWrong: It cannot be made or written.
    """
    path = folder.absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("workspaces", "engine", "results", "airlock"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        raise SettingsWrong(
            f"The state folder {folder} cannot be made: {problem.strerror}.", hint="Set state_dir to a folder of yours."
        ) from None
    if not os.access(path, os.W_OK):
        raise SettingsWrong(f"The state folder {folder} cannot be written.", hint="Set state_dir to a folder of yours.")
    return path


def open_vault(settings: Settings) -> KeyVault:
    """Open the provider's key.

    Raises:
        SettingsWrong: There is none, or it is no key.
    """
    if settings.key_file is not None:
        return KeyVault(Account.from_file(settings.key_file))
    if settings.key.get_secret_value():
        return KeyVault(Account.from_hex(settings.key.get_secret_value()))
    raise SettingsWrong(
        "The provider has no key.", hint="cove keygen FILE makes one; then set key_file = FILE in cove.toml."
    )


@contextlib.contextmanager
def lock(state: Path) -> Iterator[None]:
    """Hold the state folder: two loops over one set of runs would fight."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsWrong(
            f"Another Cove is running on the state folder {state}.", hint="Stop it, or set another state_dir."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def disk_finding(folder: Path) -> Finding:
    """Say how much room the state folder has."""
    free = shutil.disk_usage(folder).free
    if free < 1 << 30:
        return Finding(
            "disk", ok=False, seen=f"{free >> 20} MiB free at {folder}", advice="Free space or move state_dir."
        )
    return Finding("disk", ok=True, seen=f"{free >> 30} GiB free at {folder}")
