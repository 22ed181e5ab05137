"""The process that reading processes are forks of: it has loaded what they need, and has seen nothing.

``cove.leaks.process.starting`` runs its :func:`main`. On its socket comes one message per fork, with the fork's own
channel; the answer is a pidfd. It ends when its socket closes, or when it is idle.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys

from cove.leaks.process import frames, working


def main(descriptor: int, idle_seconds: float) -> None:
    """Serve forks until nobody wants any more."""
    os.environ.update({"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    control = socket.socket(fileno=descriptor)
    working.warm_up()
    gc.freeze()
    children: dict[int, int] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        events = poll.poll(None if children else idle_seconds * 1000.0)
        if not events and not children:
            return
        for ready, _ in events:
            if ready in children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(children.pop(ready), 0)
                poll.unregister(ready)
                os.close(ready)
            elif ready == control.fileno():
                try:
                    message, descriptors = frames.receive(control)
                except frames.ClosedError:
                    return
                if module := message.get("load"):
                    with contextlib.suppress(ImportError):
                        importlib.import_module(module)
                        gc.freeze()
                elif descriptors:
                    pid = _fork(control, descriptors[0], list(children))
                    pidfd = os.pidfd_open(pid)
                    frames.close(descriptors)
                    children[pidfd] = pid
                    poll.register(pidfd, select.POLLIN)
                    frames.send(control, {}, [pidfd])


def _fork(control: socket.socket, channel: int, others: list[int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        control.close()
        frames.close(others)
        working.work(socket.socket(fileno=channel))
        code = 0
    finally:
        sys.stdout = sys.stderr = None  # nothing of this process's is printed
        os._exit(code)
