"""What runs algorithms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cove.core.job import Container, Run, RunId
from cove.core.lifecycle import Observation
from cove.ports.common import Finding


@dataclass(frozen=True, slots=True)
class Collected:
    """Where the engine left what a finished run wrote. Everything there is hostile."""

    #: Folder with the files of ``/data/outputs``.
    outputs: Path
    #: Folder with the files of ``/data/logs``.
    logs: Path
    #: The captured standard output and error, written by the engine; it may be missing.
    log: Path


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What stands behind an image name in the owner's settings."""

    #: ``host``: a read-only view of this host's /usr; ``rootfs``: a folder; ``registry``: an image that is pulled.
    kind: str
    #: The folder, or the name that is pulled; None for ``host``, and where the DDO's own name is pulled.
    path: str | None = None
    #: ``sha256:..`` that a DDO must state; empty takes any.
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class EnginePlace:
    """What an engine is made from."""

    #: Name in the settings; equal to the kind unless there are several of a kind.
    name: str
    #: A folder of this engine's own for what it keeps on this host; not made yet.
    folder: Path
    #: By ``image:tag`` or by image name.
    images: Mapping[str, ImageSource] = field(default_factory=dict)
    #: Its table in the settings; the engine checks it and raises ``SettingsWrong``.
    options: Mapping[str, Any] = field(default_factory=dict)


class Preparation(Protocol):
    """What is told how far the getting of an image is, and for people what is done just now."""

    bytes_done: int
    #: None while it is not known.
    bytes_total: int | None


class Engine(Protocol):
    """Runs algorithms. No method waits for a run: each starts something or looks, and returns soon.

    An engine names everything of a run after its RunId, so that every call can be repeated. Runs outlive the service:
    after a restart the same engine, given the same folder or daemon, answers for them as before.
    ``cove.core.errors.Unavailable`` means that nothing is known; it is never an answer about a run.
    """

    async def start(self) -> None:
        """Get ready; runs of an earlier service are found again. Called once, before anything else."""
        ...

    async def close(self) -> None:
        """Let go of everything but the runs, which go on."""
        ...

    async def prepare(self, container: Container, progress: Preparation) -> Container:
        """Have an image at hand, so that a run of it can start at once, and say exactly which one it is.

        The one method that takes its time; cancelling the call ends it and leaves nothing half done. Called before
        every submit, also when another run of the image goes on.

        Args:
            container: What the algorithm's DDO names.
            progress: Is told how many bytes of the image are here.

        Returns:
            The container to submit: its ``digest`` names the image where the engine knows it, so that the run and a
            restart use what was checked, whatever a tag points to by then.

        Raises:
            ImageRefused: The image is unknown or unusable, or is not what its checksum says.
            NoSpace: The disk is full.
            Unavailable: The registry or the engine did not answer.
        """
        ...

    async def submit(self, run: Run) -> None:
        """Start a run unless one of this id was ever started here and not removed.

        Raises:
            ImageRefused: The image is unknown or unusable; nothing was started.
            EngineUnfit: This engine has no graphics processors, or no network, to give; nothing was started.
            NoSpace: The disk is full; nothing was started.
            Unavailable: It is not known whether the run was started; calling again is safe.
        """
        ...

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every given run what is known of it.

        ``Missing`` before submit and after remove, ``Active`` from the return of submit on, ``Exited`` once nothing of
        its process tree is left and :meth:`collect` is ready. A run whose keeper died is ``Exited(failure="lost")``.

        Raises:
            Unavailable: The engine did not answer.
        """
        ...

    async def cancel(self, run: RunId, *, grace_seconds: float = 10.0) -> None:
        """Ask a run to end: SIGTERM to its main process, SIGKILL to the tree after the grace. Harmless when repeated.

        The later observation says ``ended_by="stopped"``.
        """
        ...

    async def collect(self, run: RunId) -> Collected:
        """Say where the outputs of an exited run are on this host.

        Raises:
            NotFound: There is no exited run of this id.
        """
        ...

    async def logs(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log, also while the run goes on; empty past its present end."""
        ...

    async def remove(self, run: RunId) -> None:
        """End the run at once if it goes on, and forget everything of it: files, mounts, cgroups. May be repeated."""
        ...

    async def runs(self) -> Sequence[RunId]:
        """List every run that the engine holds anything of, so that orphans can be removed."""
        ...

    def on_exit(self, listener: Callable[[RunId], None]) -> None:
        """Have ``listener`` called in the event loop soon after a run exited. A hint: a poll is the safety net."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at what this engine can and cannot enforce on this machine."""
        ...

    def enforcement(self) -> Mapping[str, str]:
        """Say by what each limit of a run is enforced here: ``memory``, ``processes``, ``cpu``, ``disk``.

        The values are words for people, the same for as long as the engine is open: ``cgroup``, ``rlimit per process``,
        ``rlimit``, ``sized tmpfs``, ``none``. Consumers see them in the list of environments.
        """
        ...
