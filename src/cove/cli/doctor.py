"""Looks at everything that the service needs, also where half of it is missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import SecretStr

from cove.core.errors import CoveError, SettingsWrong
from cove.ports import Finding
from cove.settings import Settings, file_of, load
from cove.wiring import disk_finding, open_cove, open_vault


async def examine(settings_file: Path | None) -> Sequence[Finding]:
    """Give what was found; a part that is missing is a finding and does not hide the others."""
    try:
        settings = load(settings_file)
    except SettingsWrong as problem:
        return [_bad("settings", problem)]
    source = file_of(settings_file)
    seen = f"read from {source}" if source else "no settings file: the defaults and the environment"
    findings = [Finding("settings", ok=True, seen=seen)]
    settings, key = _with_key(settings)
    findings.append(key)
    if not settings.chains:
        findings.append(
            Finding("chains", ok=False, seen="No chain is set.", advice="Add [[chains]] with id, rpc and factory.")
        )
    with _free_state(settings) as (usable, note):
        findings.extend(note)
        try:
            async with open_cove(usable, loop=False) as cove:
                findings.extend(await cove.examine())
            findings.append(disk_finding(settings.state_dir.absolute()))
        except CoveError as problem:
            findings.append(_bad("service", problem))
    return findings


def _with_key(settings: Settings) -> tuple[Settings, Finding]:
    """Look at the key; where there is none, go on with one that is forgotten at the end."""
    try:
        vault = open_vault(settings)
    except SettingsWrong as problem:
        passing = SecretStr(secrets.token_hex(32))
        return settings.model_copy(update={"key": passing, "key_file": None}), _bad("key", problem)
    return settings, Finding("key", ok=True, seen=f"account {vault.address}")


@contextlib.contextmanager
def _free_state(settings: Settings) -> Iterator[tuple[Settings, Sequence[Finding]]]:
    """Give settings whose state folder is free: a running Cove keeps its own."""
    if not _in_use(settings.state_dir):
        yield settings, ()
        return
    with tempfile.TemporaryDirectory(prefix="cove-doctor-") as folder:
        note = Finding(
            "service",
            ok=True,
            seen=f"A Cove is running on {settings.state_dir}; the parts were tried in another folder.",
        )
        yield settings.model_copy(update={"state_dir": Path(folder)}), (note,)


def _in_use(state: Path) -> bool:
    try:
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _bad(part: str, problem: CoveError) -> Finding:
    return Finding(part, ok=False, seen=problem.message, advice=problem.hint or "")
