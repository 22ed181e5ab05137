"""Where on this host the cgroups of runs can be made, of version 1 or 2, and what a limit is written as there."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cove.core.job import Resources

CONTROLLERS: Final = ("memory", "pids", "cpu")
#: What the service itself moves to, since version 2 has no processes where groups with limits are made.
OURS: Final = "cove-service"
_PERIOD_MICROSECONDS: Final = 100_000
_MARKS: Final = ("user.delegate", "trusted.delegate")
_KEY_FILE: Final = {
    (1, "memory"): "memory.limit_in_bytes", (1, "pids"): "pids.max", (1, "cpu"): "cpu.cfs_quota_us",
    (2, "memory"): "memory.max", (2, "pids"): "pids.max", (2, "cpu"): "cpu.max",
}  # fmt: skip
_TRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where the groups of runs are made for one controller."""

    #: One of ``CONTROLLERS``.
    controller: str
    #: 1 or 2.
    version: int
    #: The group of a run is a folder in it.
    parent: Path


def find(name: str, *, mounts: str | None = None, own: str | None = None) -> tuple[Place, ...]:
    """Make what is needed for runs' groups, and give the place of each controller that can be used.

    Version 1 is taken where a controller has it, since it can be bound to one hierarchy alone. For version 2 a group
    that was delegated to the service is taken first; everything in that is moved into a group of its own beside the
    runs. Else root takes the top, and everybody else the service's own group.

    Args:
        name: Path of our group below each hierarchy's top (or the delegated group).
        mounts: Text of ``/proc/self/mountinfo``; None reads it.
        own: Text of ``/proc/self/cgroup``; None reads it.
    """
    tops = hierarchies(Path("/proc/self/mountinfo").read_text() if mounts is None else mounts)
    group = own_group(Path("/proc/self/cgroup").read_text() if own is None else own)
    first = [Place(controller, 1, tops[controller] / name) for controller in CONTROLLERS if controller in tops]
    found = [place for place in first if _works(place)]
    missing = [controller for controller in CONTROLLERS if controller not in {place.controller for place in found}]
    if "" in tops and missing:
        found += _second(tops[""], group, name, missing)
    return tuple(found)


def hierarchies(mounts: str) -> Mapping[str, Path]:
    """Give where each controller of version 1 is mounted, and under the empty name the tree of version 2.

    Args:
        mounts: Text of ``mountinfo``, see proc(5).
    """
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        front, _, back = line.partition(" - ")
        kind, _, options = [*back.split(" ", 2), "", ""][:3]
        top = Path("".join(front.split()[4:5]))
        if kind == "cgroup2":
            found.setdefault("", top)
        elif kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                found.setdefault(controller, top)
    return found


def own_group(text: str) -> str | None:
    """Give this process's group of version 2, relative to the mount; None where it has none that is in sight.

    Args:
        text: Text of ``/proc/self/cgroup``, see cgroups(7).
    """
    for line in text.splitlines():
        if line.startswith("0::/"):
            path = line[4:].removesuffix(" (deleted)")
            return None if ".." in path.split("/") else path
    return None


def base(top: Path, group: str | None) -> Path | None:
    """Choose the group of version 2 below which those of runs are made; None where nothing was given to this user."""
    if group is None:
        return None
    chain = [place for place in (top / group, *(top / group).parents) if place.is_relative_to(top)]
    for place in chain:
        if _is_delegated(place) and _is_ours(place):
            return place
    if chain[0].name == OURS:
        return chain[1] if _is_ours(chain[1]) else None
    if os.getuid() == 0 and not (top / "cgroup.type").exists():  # the system's own top, not that of a container
        return top if _is_ours(top) else None
    return chain[0] if _is_ours(chain[0]) else None


def limits_of(place: Place, memory_bytes: int, resources: Resources) -> list[tuple[str, str]]:
    """Give each file of a run's group for a controller, with what is to be written into it, in order.

    Args:
        place: The controller's.
        memory_bytes: Limit of memory, swap included.
        resources: The other limits.
    """
    memory = str(memory_bytes)
    pids = str(resources.processes + 4)  # bubblewrap's own, and one that is just starting
    quota = str(int(resources.cpus * _PERIOD_MICROSECONDS))
    return {
        (1, "memory"): [("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory)],
        (1, "pids"): [("pids.max", pids)],
        (1, "cpu"): [("cpu.cfs_period_us", str(_PERIOD_MICROSECONDS)), ("cpu.cfs_quota_us", quota)],
        (2, "memory"): [("memory.max", memory), ("memory.swap.max", "0")],
        (2, "pids"): [("pids.max", pids)],
        (2, "cpu"): [("cpu.max", f"{quota} {_PERIOD_MICROSECONDS}")],
    }[place.version, place.controller]


def groups(
    places: Sequence[Place], run: str, memory_bytes: int, resources: Resources
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Give each group of a run with its limits; in version 2 all controllers share one."""
    found: dict[str, list[tuple[str, str]]] = {}
    for place in places:
        found.setdefault(str(place.parent / run), []).extend(limits_of(place, memory_bytes, resources))
    return list(found.items())


def end(places: Sequence[Place], run: str) -> None:
    """Kill what is in a run's groups, and remove them; may be repeated."""
    for folder in {place.parent / run for place in places}:
        for _ in range(_TRIES):
            try:
                _kill(folder)
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.005)


def _kill(folder: Path) -> None:
    """Kill all processes of a group: at once in version 2, since Linux 5.14; else one by one."""
    at_once = folder / "cgroup.kill"
    if at_once.exists():
        at_once.write_text("1")
        return
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)


def _second(top: Path, group: str | None, name: str, wanted: Sequence[str]) -> Iterator[Place]:
    """Get the tree of version 2 ready, and give the places of what it can do."""
    below = base(top, group)
    if below is None:
        return
    offered = _words(below / "cgroup.controllers")
    wanted = [controller for controller in wanted if controller in offered]
    ours = below / name
    try:
        if wanted and not set(wanted) <= _words(below / "cgroup.subtree_control"):
            _move_out(below)
            _enable(below, wanted)
        ours.mkdir(parents=True, exist_ok=True)
        between = [place for place in (ours, *ours.parents) if place != below and place.is_relative_to(below)]
        for level in reversed(between):
            _enable(level, wanted)
    except OSError:
        return
    places = (Place(controller, 2, ours) for controller in wanted)
    yield from (place for place in places if _works(place))


def _enable(folder: Path, controllers: Sequence[str]) -> None:
    given = _words(folder / "cgroup.subtree_control")
    for controller in controllers:
        if controller not in given:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _move_out(below: Path) -> None:
    """Move everything that is in a group of ours into one below it, but for the system's own top."""
    if not (below / "cgroup.type").exists():
        return
    (below / OURS).mkdir(exist_ok=True)
    for pid in (below / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (below / OURS / "cgroup.procs").write_text(pid)


def _works(place: Place) -> bool:
    """Try it with a group of our own."""
    probe = place.parent / f"probe-{os.getpid()}"
    try:
        probe.mkdir(parents=True, exist_ok=True)
        works = os.access(probe / _KEY_FILE[place.version, place.controller], os.W_OK)
        probe.rmdir()
    except OSError:
        return False
    return works


def _is_ours(group: Path) -> bool:
    return all(os.access(group / name, os.W_OK) for name in (".", "cgroup.procs", "cgroup.subtree_control"))


def _is_delegated(group: Path) -> bool:
    """Say whether systemd marks a group as given away (``Delegate=yes``)."""
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(group, mark) == b"1":
                return True
    return False


def _words(file: Path) -> set[str]:
    try:
        return set(file.read_text().split())
    except OSError:
        return set()
