"""Looks at everything that the service needs, also where half of it is missing."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from cove.core.errors import CoveError, NotFound, SettingsWrong, Unavailable
from cove.crypto.keys import checksum
from cove.ledgers.nodes import Node
from cove.ledgers.rpc import RpcError
from cove.metadata.folder import FolderMetadata
from cove.ports import Finding
from cove.settings import ChainSettings, PolicySettings, Settings, file_of, load, unused_variables
from cove.wiring.assembly import open_cove
from cove.wiring.chains import open_nodes
from cove.wiring.hooks import undelivered_beside
from cove.wiring.policies import examine_policies
from cove.wiring.state import disk_finding, open_vault, prepare_state

#: What is looked at in the state folder, and says nothing of it where a spare folder took its place.
_OF_THE_FOLDER: Final = ("database disk", "results")
#: Settings that can keep the service from opening.
_PARTS: Final = ("database_url", "environments", "images", "local")


async def examine(settings_file: Path | None) -> Sequence[Finding]:
    """Give what was found; a part that is missing is a finding and does not hide the others."""
    try:
        settings = load(settings_file)
    except SettingsWrong as problem:
        return [_bad("settings", problem, "Correct the settings file, or what --settings names.")]
    source = file_of(settings_file)
    seen = f"read from {source}" if source else "no settings file: the defaults and the environment"
    findings = [Finding("settings", ok=True, seen=seen)]
    findings += [
        Finding("environment", ok=False, seen=f"The variable {name} sets nothing.", advice="Correct it, or unset it.")
        for name in unused_variables()
    ]
    settings, key = _with_key(settings)
    findings.append(key)
    with tempfile.TemporaryDirectory(prefix="cove-doctor-") as spare:
        findings += await _look(settings, Path(spare))
    if not settings.chains and settings.catalog.folder is None:
        advice = "Add [[chains]] with id, rpc and factory, or set catalog.folder (docs/howto/without-a-chain.md)."
        findings.append(Finding("chains", ok=False, seen="No chain is set.", advice=advice))
    if settings.catalog.folder is not None:
        findings.append(await asyncio.to_thread(_catalog_finding, settings.catalog.folder, settings.catalog.chain_id))
    for chain in settings.chains:
        findings += await _node_findings(chain)
    return findings


def _with_key(settings: Settings) -> tuple[Settings, Finding]:
    """Look at the key; where there is none, go on with one that is forgotten at the end."""
    try:
        vault = open_vault(settings)
    except SettingsWrong as problem:
        passing = SecretStr(secrets.token_hex(32))
        return settings.model_copy(update={"key": passing, "key_file": None}), _bad(
            "key", problem, "cove keygen FILE makes one; then set key_file = FILE in cove.toml."
        )
    return settings, Finding("key", ok=True, seen=f"account {vault.address}")


async def _look(settings: Settings, spare: Path) -> list[Finding]:
    """Look at the parts; where one keeps the others from being opened, look at these in a spare folder."""
    state = _state_finding(settings.state_dir)
    rules = await examine_policies(settings)
    findings = [state, *rules]
    if not all(rule.ok for rule in rules):
        settings = settings.model_copy(update={"policies": PolicySettings()})
    in_place = state.ok and settings.state_dir.exists() and not _in_use(settings.state_dir)
    usable = settings if in_place else settings.model_copy(update={"state_dir": spare})
    elsewhere: tuple[str, ...] = () if in_place else _OF_THE_FOLDER
    try:
        found = await _open(usable)
    except CoveError as problem:
        findings.append(_bad(problem.part if isinstance(problem, Unavailable) else "service", problem))
        found = await _open(_replaced(settings, spare))
        elsewhere = (*_OF_THE_FOLDER, "database")
    findings += [finding for finding in found if finding.part not in {*elsewhere, "policies"}]
    if state.ok and not in_place and settings.state_dir.exists() and not settings.database_url.get_secret_value():
        findings += await undelivered_beside(settings, time.time())
    return [*findings, *([disk_finding(_nearest(settings.state_dir))] if state.ok else [])]


async def _open(settings: Settings) -> Sequence[Finding]:
    async with open_cove(settings, loop=False) as cove:
        return await cove.examine()


def _replaced(settings: Settings, spare: Path) -> Settings:
    """Give settings with everything replaced that can be wrong, but for the key and the chains."""
    usual: dict[str, Any] = {
        name: Settings.model_fields[name].get_default(call_default_factory=True) for name in _PARTS
    }
    return settings.model_copy(update={**usual, "state_dir": spare})


def _state_finding(state: Path) -> Finding:
    """Look at the state folder, and make none that is not there."""
    part = "state folder"
    try:
        if state.exists():
            prepare_state(state)
            running = "; a Cove is running on it, so that the parts are tried elsewhere" if _in_use(state) else ""
            return Finding(part, ok=True, seen=f"{state.absolute()} can be written{running}")
        first = next(folder for folder in (state.absolute(), *state.absolute().parents) if folder.parent.exists())
        first.mkdir()
        first.rmdir()
    except SettingsWrong as problem:
        return _bad(part, problem)
    except OSError as problem:
        seen = f"The state folder {state} cannot be made: {problem.strerror}."
        return Finding(part, ok=False, seen=seen, advice="Set state_dir to a folder of yours.")
    return Finding(part, ok=True, seen=f"{state.absolute()} is not there yet and can be made")


def _catalog_finding(folder: Path, chain_id: int) -> Finding:
    """Read every asset's file of the catalogue."""
    part, store = "catalogue", FolderMetadata(folder, chain_id, checksum)
    if not folder.is_dir():
        advice = "Make it, or set catalog.folder; cove publish --local makes it."
        return Finding(part, ok=False, seen=f"The folder {folder} is not there.", advice=advice)
    try:
        dids = store.dids()
    except Unavailable as problem:
        return Finding(part, ok=False, seen=problem.message, advice="Check catalog.folder.")
    for did in dids:
        try:
            store.read(did)
        except (NotFound, Unavailable) as problem:
            return Finding(part, ok=False, seen=f"{did}: {problem.message}", advice="Publish it again.")
    return Finding(part, ok=True, seen=f"{len(dids)} assets, published under chain id {chain_id}")


async def _node_findings(chain: ChainSettings) -> list[Finding]:
    """Look at each node of a chain, and whether Ocean's factory is where the settings say; no URL is shown."""
    nodes = open_nodes(chain)
    seen = await nodes.examine()
    try:
        code = await nodes.call("eth_getCode", [chain.factory, "latest"])
    except (Unavailable, RpcError):
        code = None  # that the chain does not answer was found before
    finally:
        await nodes.close()
    findings = [_node_finding(chain.id, node) for node in seen] if len(seen) > 1 else []
    if code == "0x":
        text = f"There is no contract at the factory's address {chain.factory}."
        advice = "Correct chains.factory or chains.rpc."
        findings.append(Finding(f"chain {chain.id}", ok=False, seen=text, advice=advice))
    return findings


def _node_finding(chain_id: int, node: Node) -> Finding:
    part = f"chain {chain_id}, {node.name}"
    if node.usable and node.head is not None:
        return Finding(part, ok=True, seen=f"answers, newest block {node.head.number}")
    return Finding(
        part, ok=False, seen=f"{node.name} {node.why}.", advice="Correct this one of chains.rpc, or its node."
    )


def _nearest(folder: Path) -> Path:
    """Give the folder, or the nearest one above that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


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


def _bad(part: str, problem: CoveError, usual: str = "Correct the setting.") -> Finding:
    """Give a finding with the failure's own advice, or the usual one for the part."""
    return Finding(part, ok=False, seen=problem.message, advice=problem.hint or usual)
