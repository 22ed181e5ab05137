"""What is asked of a daemon about runs: which there are, how each is, and what the daemon can enforce."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.job import RunId
from cove.core.kernel import oci_profile
from cove.engines.docker import containers
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.config import DockerConfig
from cove.engines.docker.containers import Kept, Names, Setting
from cove.ports import Finding

RUNNING: Final = frozenset({"running", "paused", "restarting", "stopping"})
ENDED: Final = frozenset({"exited", "dead", "removing", "stopped"})
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_CONFLICT: Final = 409
_BROKEN: Final = 500
_LISTINGS: Final = 10
_NEVER: Final = "0001-"
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Part:
    """One container of a run, as the daemon lists it."""

    id: str
    state: str
    labels: Mapping[str, str]

    @property
    def is_running(self) -> bool:
        """Say whether it has processes."""
        return self.state in RUNNING

    @property
    def is_new(self) -> bool:
        """Say whether it was never started."""
        return self.state not in RUNNING | ENDED


@dataclass(frozen=True, slots=True)
class Facts:
    """How a container is, or was."""

    state: str
    code: int
    out_of_memory: bool
    started_at: float | None
    finished_at: float | None
    #: Its first process on the daemon's host; 0 without one.
    pid: int


class Daemon:
    """One daemon, as the engine asks it."""

    def __init__(self, api: Api, config: DockerConfig) -> None:
        self._api = api
        self._config = config
        self._machine = ""
        self.is_podman = False

    async def learn(self) -> None:
        """Find out what it is, once."""
        if self._machine:
            return
        said = await self._api.get("/version")
        self.is_podman = any("podman" in str(part.get("Name", "")).lower() for part in said.get("Components") or [])
        architecture = str(said.get("Arch", ""))
        self._machine = _MACHINES.get(architecture, architecture)

    def names(self, run: RunId) -> Names:
        """Give how everything of a run is called."""
        return Names(self._config.name, run)

    def profile(self) -> bytes:
        """Give the filter of system calls for the daemon's machine; empty where there is none."""
        return (oci_profile(self._machine) or "").encode()

    def setting(self, kept: Kept) -> Setting:
        """Say what every run gets: Podman reads the filter from a file on its own host."""
        profile = self.profile().decode()
        if profile and self.is_podman:
            profile = f"{kept.given}/seccomp.json"
        return Setting(profile, self._config.runtime, self._config.network, podman=self.is_podman)

    # ------------------------------------------------------------------------------------------ runs

    async def all_parts(self) -> Mapping[RunId, Mapping[str, Part]]:
        """Give every container of every run, by the part that it plays."""
        return await self._listed({"label": [f"{containers.ENGINE_LABEL}={self._config.name}"]})

    async def parts(self, run: RunId) -> Mapping[str, Part]:
        """Give the containers of one run."""
        names = self.names(run)
        labels = [f"{containers.ENGINE_LABEL}={self._config.name}"]
        chosen = {"label": labels, "name": [names.main, names.keeper, names.volume(containers.ORIGINAL)]}
        return (await self._listed(chosen, run)).get(run, {})

    async def sweep(self) -> None:
        """Remove volumes of ours that no container has: of a start that was cut off, or kept back by the daemon."""
        filters = {"label": [f"{containers.ENGINE_LABEL}={self._config.name}"], "dangling": ["true"]}
        for volume in (await self._api.get("/volumes", filters=json.dumps(filters))).get("Volumes") or []:
            await self._remove_volume(volume["Name"])

    async def _remove_volume(self, name: str) -> None:
        try:
            await self._api.delete(f"/volumes/{name}", force="true")
        except Refused as refusal:
            # Docker before version 25 miscounts after a crash of its own: an empty folder stays until its next start.
            if "active mounts" not in str(refusal):
                raise

    async def _listed(self, filters: Mapping[str, Sequence[str]], *known: RunId) -> dict[RunId, dict[str, Part]]:
        found: dict[RunId, dict[str, Part]] = {run: {} for run in known}
        taken: dict[str, Part] = {}
        for one in await self._all(json.dumps(filters)):
            labels = one.get("Labels") or {}
            run, part = labels.get(containers.RUN_LABEL), labels.get(containers.PART_LABEL)
            made = Part(one["Id"], str(one["State"]).lower(), labels)
            if run and part:
                found.setdefault(RunId(run), {})[part] = made
            elif part == containers.SPARE:  # its name alone says which run has it
                taken |= dict.fromkeys([str(name).removeprefix("/") for name in one.get("Names") or []], made)
        for run, parts in found.items():
            keeper = taken.get(self.names(run).keeper)
            if keeper is not None:
                parts[containers.KEEPER] = keeper
        return found

    async def _all(self, filters: str) -> Any:  # noqa: ANN401 - JSON
        """List containers; Podman breaks off, with 500 or 404, where one of them goes meanwhile."""
        for _ in range(_LISTINGS - 1):
            try:
                return await self._api.get("/containers/json", all="true", filters=filters)
            except Refused as refusal:
                if not refusal.is_missing and refusal.status < _BROKEN:
                    raise
        return await self._api.get("/containers/json", all="true", filters=filters)

    async def facts(self, run: RunId) -> Facts | None:
        """Say how a run's main container is; None where there is none."""
        try:
            state = (await self._api.get(f"/containers/{self.names(run).main}/json"))["State"]
        except Refused as refusal:
            if not refusal.is_missing:
                raise
            return None
        return Facts(
            state=str(state["Status"]).lower(),
            code=int(state["ExitCode"]),
            out_of_memory=bool(state["OOMKilled"]),
            started_at=_time(state["StartedAt"]),
            finished_at=_time(state["FinishedAt"]),
            pid=int(state.get("Pid") or 0),
        )

    async def signal(self, run: RunId, signal: str) -> None:
        """Send a signal to a run's first process; nothing where it has ended."""
        try:
            await self._api.post(f"/containers/{self.names(run).main}/kill", signal=signal)
        except Refused as refusal:
            # Podman says 500 of a container that has just ended.
            if not refusal.is_missing and refusal.status != _CONFLICT and "can only kill running" not in str(refusal):
                raise

    async def remove(self, run: RunId) -> None:
        """End a run, and remove all that the daemon has of it; may be repeated."""
        names = self.names(run)
        volumes = {names.volume(part) for part in ("w", "c", "d")} | await self._volumes_of(names.keeper)
        for container in (names.main, names.keeper, names.volume(containers.ORIGINAL)):
            await self._remove_container(container)
        for volume in sorted(volumes):
            await self._remove_volume(volume)

    async def _remove_container(self, name: str) -> None:
        for pause in _PAUSES:
            try:
                return await self._api.delete(f"/containers/{name}", force="true", v="true")
            except Refused as refusal:
                # Podman says so of one that ends by itself just when it is to be ended: the next try removes it.
                if "could not be stopped" not in str(refusal):
                    raise
            await asyncio.sleep(pause)
        return await self._api.delete(f"/containers/{name}", force="true", v="true")

    async def _volumes_of(self, container: str) -> set[str]:
        """Name the volumes that a container has: those of a spare are not called after its run."""
        try:
            mounts = (await self._api.get(f"/containers/{container}/json")).get("Mounts") or []
        except Refused as refusal:
            if not refusal.is_missing:
                raise
            return set()
        return {str(mount["Name"]) for mount in mounts if mount.get("Name")}

    # ------------------------------------------------------------------------------------------ what it can do

    async def examine(self) -> Sequence[Finding]:
        """Look at what can be enforced."""
        await self.learn()
        with contextlib.suppress(Refused):
            return _findings(await self._api.get("/info"), await self._has_helper(), self._config, bool(self.profile()))
        return [Finding("container daemon", ok=False, seen="it does not tell about itself", advice="Update it.")]

    async def _has_helper(self) -> bool:
        try:
            await self._api.get(f"/images/{self._config.helper}/json")
        except Refused:
            return False
        return True


def _findings(said: Mapping[str, Any], has_helper: bool, config: DockerConfig, has_filter: bool) -> list[Finding]:  # noqa: FBT001
    version = said.get("ServerVersion", "?")
    found = [Finding("container daemon", ok=True, seen=f"version {version} answers")]
    seen = f"the image {config.helper} is {'' if has_helper else 'not '}there"
    advice = "" if has_helper or config.pull != "never" else f"Load {config.helper}, or set helper to another busybox."
    found.append(Finding("helper image", ok=not advice, seen=seen, advice=advice))
    seen = "our filter fits the daemon's machine" if has_filter else "there is no filter for the daemon's machine"
    found.append(Finding("seccomp", has_filter, seen, "" if has_filter else "Use x86_64 or aarch64."))
    for part, fields in {
        "memory": ("MemoryLimit", "SwapLimit"),
        "pids": ("PidsLimit",),
        "cpu": ("CpuCfsQuota", "CPUCfsQuota"),
    }.items():
        missing = [name for name in fields if part != "cpu" and not said.get(name)]
        ok = not missing and (part != "cpu" or any(said.get(name) for name in fields))
        advice = "" if ok else f"Give the daemon's host the cgroup controller {part}."
        found.append(Finding(f"cgroups {part}", ok, f"the daemon {'enforces' if ok else 'cannot enforce'} it", advice))
    if said.get("LiveRestoreEnabled") is False:
        seen = "a restart of the daemon ends every run"
        found.append(Finding("live-restore", ok=False, seen=seen, advice='Set "live-restore": true in daemon.json.'))
    return found


def _time(text: str) -> float | None:
    """Read the daemon's time, which has nanoseconds; None where it is of the year 1."""
    if not text or text.startswith(_NEVER):
        return None
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z")
    zone = ""
    for sign in ("+", "-"):
        if sign in digits:
            digits, _, offset = digits.partition(sign)
            zone = f"{sign}{offset}"
    base = dt.datetime.fromisoformat(f"{whole.rstrip('Z')}{zone or '+00:00'}")
    return base.timestamp() + (float(f"0.{digits}") if digits else 0.0)
