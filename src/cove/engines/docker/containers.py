"""Pure: the volumes and containers of a run, as the Docker API takes them.

A run is two containers. Its *keeper* holds two volumes of memory: ``/w``, sized as the run's disk, which has every
folder that the run may write, and ``/c``, with what Cove gives to the run and with its log. The *run* shows parts of
both at the places that ``container.md`` promises, upon a read-only root. When the run has ended, however that was and
whoever was there to see it, the keeper still has its outputs and its log, and hands them over (``handover.py``), here
or on another host. The run writes its log into a named pipe; the keeper copies from it what is to be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cove.core.job import Container, Run, RunId
from cove.engines import inside
from cove.engines.docker import scripts

ENGINE_LABEL: Final = "cove.engine"
RUN_LABEL: Final = "cove.run"
PART_LABEL: Final = "cove.part"
MAIN: Final = "run"
KEEPER: Final = "keep"
ORIGINAL: Final = "image"
SPARE: Final = "spare"
SECONDS_LABEL: Final = "cove.seconds"
LOG_LABEL: Final = "cove.log-bytes"
DISK_LABEL: Final = "cove.disk-bytes"

_PAGE: Final = 4096
_BLOCK: Final = 512
_OUR_INODES: Final = 16
_WORK: Final = "/job"
_OWN: Final = "/.cove"
_NEVER_COPIED: Final = ("/", "/data", "/tmp", "/home/job", "/dev", "/proc", "/sys", "/run", "/var/tmp", _OWN)  # noqa: S108
_LIMITED: Final = 4096
_MASKED: Final = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/pressure", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
    "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
_READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_UNWANTED: Final = frozenset({"HOSTNAME", "OLDPWD", "SHLVL", "TERM", "container"})
"""Variables that daemons and shells add of themselves."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the daemon's volumes of a run are called, and where they lie on the daemon's host."""

    #: Mountpoint of the volume that the run writes.
    writable: str
    #: Mountpoint of the volume that Cove fills.
    given: str
    #: Mountpoint of the volume of copied inputs; empty without one.
    copies: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of itself."""

    #: What the daemon is asked for.
    reference: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = "/"
    #: PATH of its environment; empty where it has none.
    path: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One input of this host that the run sees."""

    #: Path on the daemon's host.
    source: str
    #: Absolute path inside.
    target: str


@dataclass(frozen=True, slots=True)
class Names:
    """How everything of one run is called at the daemon.

    Names are derived from the run's, and do not show it: they stand on command lines of the daemon's helpers and in the
    run's own table of mounts, and a job's id is told to its owner alone. Labels show it to the daemon's clients.
    """

    engine: str
    run: RunId

    @property
    def main(self) -> str:
        """Give the container of the algorithm."""
        return self.volume(MAIN)

    @property
    def keeper(self) -> str:
        """Give the container that keeps its outputs."""
        return self.volume(KEEPER)

    def volume(self, part: str) -> str:
        """Give a volume, by its letter."""
        digest = hashlib.sha256(f"{self.run} {part}".encode()).hexdigest()
        return f"{self.engine}-{digest[:32]}"

    def labels(self, part: str, run: Run | None = None) -> dict[str, str]:
        """Give what another service needs to find a run again."""
        found = {ENGINE_LABEL: self.engine, RUN_LABEL: self.run, PART_LABEL: part}
        if run is not None:
            found[SECONDS_LABEL] = str(run.resources.time_seconds)
            found[LOG_LABEL] = str(run.resources.log_bytes)
            found[DISK_LABEL] = str(run.resources.disk_bytes)
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """One run as it is about to be started."""

    names: Names
    run: Run
    #: Its uid.
    user: int
    image: Image
    #: The run's own random value.
    secret: str


def user_of(run: RunId, first: int, count: int) -> int:
    """Give the uid of a run: the same however often it is submitted, another one for the next."""
    return first + int.from_bytes(hashlib.sha256(run.encode()).digest()[:4], "big") % count


@dataclass(frozen=True, slots=True)
class Size:
    """How much a keeper holds."""

    disk_bytes: int
    inodes: int
    log_bytes: int

    @classmethod
    def of(cls, run: Run) -> Size:
        """Give what a run may leave."""
        return cls(run.resources.disk_bytes, run.resources.inodes, run.resources.log_bytes)


def writable_volume(name: str, labels: Mapping[str, str], size: Size, user: int) -> dict[str, Any]:
    """Give the volume of everything that a run writes: its size is the run's disk."""
    bound = f"nr_blocks={size.disk_bytes // _PAGE},nr_inodes={size.inodes + _OUR_INODES}"
    return _memory(name, labels, f"{bound},mode=0755,uid={user},gid={user},nosuid,nodev")


def given_volume(name: str, labels: Mapping[str, str], user: int) -> dict[str, Any]:
    """Give the volume of what Cove writes for a run."""
    return _memory(name, labels, f"mode=0755,uid={user},gid={user},nosuid,nodev")


def copies_volume(names: Names) -> dict[str, Any]:
    """Give the volume of inputs that have to be copied, on the daemon's disk."""
    return {"Name": names.volume("d"), "Driver": "local", "Labels": names.labels("d")}


def _memory(name: str, labels: Mapping[str, str], options: str) -> dict[str, Any]:
    # Sizes in blocks: Podman takes ``size`` for a quota of the disk.
    driver = {"type": "tmpfs", "device": "tmpfs", "o": options}
    return {"Name": name, "Driver": "local", "DriverOpts": driver, "Labels": dict(labels)}


def keeper(plan: Plan, helper: str, *, copies: bool) -> dict[str, Any]:
    """Give the container that keeps what a run leaves.

    Args:
        plan: What is to be run.
        helper: The image with busybox.
        copies: Whether there are copied inputs.
    """
    names = plan.names
    volumes = {"/w": names.volume("w"), "/c": names.volume("c"), **({"/d": names.volume("d")} if copies else {})}
    labels = names.labels(KEEPER, plan.run)
    return keeping(Keeping(helper, plan.user, Size.of(plan.run), volumes, labels, own_work=not fits_spare(plan.image)))


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a keeper is made of."""

    #: The image with busybox.
    helper: str
    #: Its uid, and that of the run.
    user: int
    size: Size
    #: Names of volumes, by place.
    volumes: Mapping[str, str]
    labels: Mapping[str, str]
    #: Whether the run's working directory is the image's.
    own_work: bool = False


def keeping(what: Keeping) -> dict[str, Any]:
    """Give a container that keeps what a run leaves, or will."""
    blocks = what.size.log_bytes // _BLOCK + 1
    return {
        "Image": what.helper,
        "Entrypoint": [*scripts.SHELL, scripts.KEEPING, "keeper", str(blocks), "own" if what.own_work else ""],
        "Cmd": [],
        "User": f"{what.user}:{what.user}",
        "Env": ["PATH=/bin"],
        "Labels": dict(what.labels),
        "NetworkDisabled": True,
        "StopSignal": "SIGKILL",
        "OpenStdin": True,  # by it Cove gives and takes (``handover.py``)
        "StdinOnce": False,
        "HostConfig": {
            **_closed(),
            "NetworkMode": "none",
            "Mounts": [{"Type": "volume", "Source": name, "Target": place} for place, name in what.volumes.items()],
            "LogConfig": {"Type": "none", "Config": {}},
            "Ulimits": _ulimits(nofile=256, nproc=64),
            "PidsLimit": 16,
        },
    }


def fits_spare(image: Image) -> bool:
    """Say whether a run of an image begins in Cove's own working directory, as a spare keeper has it ready."""
    return work_of(image) == _WORK


def original(plan: Plan) -> dict[str, Any]:
    """Give a container that is never started: it shows the image's own files."""
    return {
        "Image": plan.image.reference,
        "Entrypoint": ["-"],
        "Labels": plan.names.labels(ORIGINAL),
        "NetworkDisabled": True,
        "HostConfig": {**_closed(), "NetworkMode": "none"},
    }


@dataclass(frozen=True, slots=True)
class Setting:
    """What the daemon and the owner's settings say for every run."""

    #: The profile as JSON, or a path on the daemon's host; empty for the daemon's own.
    seccomp: str = ""
    runtime: str = ""
    #: Network of a run that may reach one.
    network: str = ""
    podman: bool = False


def main(plan: Plan, kept: Kept, shown: Sequence[Shown], setting: Setting) -> dict[str, Any]:
    """Give the container of the algorithm itself."""
    names, run, user, image = plan.names, plan.run, plan.user, plan.image
    limits = run.resources
    memory = limits.memory_bytes + limits.disk_bytes  # what it writes lies in memory, and is charged to it
    options = [
        "no-new-privileges",
        *(["mask=/proc/pressure"] if setting.podman else []),
        *([f"seccomp={setting.seccomp}"] if setting.seccomp else []),
    ]
    ulimits = _ulimits(nofile=_LIMITED, nproc=_LIMITED)
    ulimits += [_ulimit("core", 0), _ulimit("memlock", 64 << 10), _ulimit("fsize", limits.disk_bytes)]
    host: dict[str, Any] = {
        **_closed(),
        "SecurityOpt": options,
        "NetworkMode": setting.network if run.network else "none",
        "Init": True,
        "Mounts": _mounts(image, kept, shown, podman=setting.podman),
        "LogConfig": {"Type": "none", "Config": {}},
        "Ulimits": ulimits,
        "PidsLimit": limits.processes + 4,
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(limits.cpus * 1_000_000_000),
        "CgroupnsMode": "private",
        "IpcMode": "private",
        "Runtime": setting.runtime,
        "MaskedPaths": list(_MASKED),
        "ReadonlyPaths": list(_READ_ONLY),
    }
    if limits.gpus:
        host["DeviceRequests"] = [{"Driver": "", "Count": limits.gpus, "Capabilities": [["gpu"]]}]
    environment = variables_of(run, image, plan.secret)
    unwanted = " ".join(sorted(_UNWANTED - set(environment)))
    return {
        "Image": image.reference,
        "Entrypoint": [
            f"{_OWN}/busybox",
            "sh",
            "-c",
            scripts.STARTING,
            "sh",
            unwanted,
            *command_of(run.container, image),
        ],
        "Cmd": [],
        "WorkingDir": work_of(image),
        "User": f"{user}:{user}",
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Hostname": "cove",
        "Labels": names.labels(MAIN, run),
        "NetworkDisabled": not run.network,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": host,
    }


def variables_of(run: Run, image: Image, secret: str) -> dict[str, str]:
    """Give the run's environment: what the consumer gave, under what every run is owed."""
    return {**dict(run.environment), **inside.variables(secret, image.path or inside.PATH)}


def command_of(container: Container, image: Image) -> list[str]:
    """Give the last arguments of ``STARTING``: text for a shell, or nothing, and the words without one."""
    if not container.entrypoint and (image.entrypoint or image.command):
        own = [word.replace("$ALGO", inside.ALGORITHM) for word in (*image.entrypoint, *image.command)]
        return ["", *own]
    by_shell = inside.command(container)
    text = by_shell[2] if by_shell[:2] == ["/bin/sh", "-c"] and len(by_shell) == 3 else ""  # noqa: PLR2004
    return [text, *inside.command(container, has_shell=not text)]


def work_of(image: Image) -> str:
    """Give the run's working directory: the image's, or one of our own where that is the root.

    Nothing can be laid over a root that is read-only. Ours has a link ``data``, so that relative paths lead on.
    """
    place = "/" + image.working_directory.strip("/")
    return _WORK if place == "/" else place


def is_copied(image: Image) -> bool:
    """Say whether the image's working directory has files of its own that the run is to find, and may change."""
    place = work_of(image)
    return place != _WORK and not any(place == root or place.startswith(f"{root}/") for root in _NEVER_COPIED[1:])


def _mounts(image: Image, kept: Kept, shown: Sequence[Shown], *, podman: bool) -> list[dict[str, Any]]:
    write, give = kept.writable, kept.given
    found = [
        _bind(f"{give}/data", "/data", read_only=True),
        _bind(f"{write}/out/outputs", "/data/outputs"),
        _bind(f"{write}/out/logs", "/data/logs"),
        _bind(f"{write}/home", inside.HOME),
        _bind(f"{write}/tmp", "/tmp"),  # noqa: S108 - inside
        _bind(f"{write}/shm", "/dev/shm"),  # noqa: S108 - inside
        _bind(f"{give}/own", _OWN, read_only=True),
        *(_bind(f"{give}/etc/{name}", f"/etc/{name}", read_only=True) for name in inside.names()),
    ]
    if work_of(image) == _WORK or is_copied(image):
        found.append(_bind(f"{write}/work", work_of(image)))
    if podman:  # it lays file systems without a size over these two
        found += [_bind(f"{write}/run", "/run"), _bind(f"{write}/vartmp", "/var/tmp")]  # noqa: S108 - inside
    return [*found, *(_bind(one.source, one.target, read_only=True) for one in shown)]


def _bind(source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def _closed() -> dict[str, Any]:
    return {"ReadonlyRootfs": True, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "Privileged": False}


def _ulimits(*, nofile: int, nproc: int) -> list[dict[str, Any]]:
    return [_ulimit("nofile", nofile), _ulimit("nproc", nproc)]


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def limits_of(labels: Mapping[str, str]) -> tuple[int, int, int]:
    """Give seconds, log bytes and disk bytes of a run from its labels; zeros where somebody took them away."""
    try:
        return int(labels[SECONDS_LABEL]), int(labels[LOG_LABEL]), int(labels[DISK_LABEL])
    except (KeyError, ValueError):
        return 0, 0, 0
