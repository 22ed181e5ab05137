"""The service's side: it keeps one waiting process, and has it fork."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cove.leaks.process import frames

_START_SECONDS = 60.0


@dataclass
class Fork:
    """One reading process.

    Args:
        channel: What it is spoken with by.
        pidfd: What it is ended by.
    """

    channel: socket.socket
    pidfd: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _problem: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()
        self.channel.close()
        frames.close([self.pidfd])

    def end(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


class Template:
    """Starts the waiting process when it is wanted and not there; it ends by itself when nobody wants it for long.

    Args:
        idle_seconds: After which it ends.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle = idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._arrow = False

    def fork(self) -> Fork:
        """Give a new reading process.

        Raises:
            ClosedError: None can be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return Fork(ours, self._ask(theirs))
        except BaseException:
            ours.close()
            raise

    def warm(self) -> None:
        """Have the waiting process there."""
        with self._lock, contextlib.suppress(frames.ClosedError, OSError):
            self._living()

    def learn(self, *, arrow: bool) -> None:
        """Load Arrow beforehand once a file has asked for it."""
        with self._lock:
            if arrow and not self._arrow and self._control is not None:
                self._arrow = True
                with contextlib.suppress(frames.ClosedError, OSError):
                    for module in ("pyarrow.compute", "pyarrow.csv", "cove.leaks.arrow"):
                        frames.send(self._control, {"load": module})

    def close(self) -> None:
        """End the waiting process."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The waiting process's, while there is one."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def _ask(self, channel: socket.socket) -> int:
        with self._lock:
            for _ in range(2):
                try:
                    control = self._living()
                    frames.send(control, {"fork": True}, [channel.fileno()])
                    _, descriptors = frames.receive(control)
                except (frames.ClosedError, OSError):
                    self._end()
                    continue
                if len(descriptors) == 1:
                    return descriptors[0]
                frames.close(descriptors)
                self._end()
            raise frames.ClosedError

    def _living(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                place = theirs.fileno()
                self._process = subprocess.Popen(  # noqa: S603 - our own code
                    [
                        sys.executable, "-I", "-c",
                        f"from cove.leaks.process.template import main; main({place}, {self._idle})",
                    ],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    pass_fds=(place,), env={}, start_new_session=True, cwd="/",
                )  # fmt: skip
            ours.settimeout(_START_SECONDS)
            self._control, self._arrow = ours, False
        return self._control

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
