"""Pure: the command line of bubblewrap for one run, with every path below the supervisor's private folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from cove.core.job import Container, Run

BASE: Final = "/tmp"  # noqa: S108 - the supervisor mounts its own file system there, in its own namespace
ALGORITHM: Final = "/data/transformations/algorithm"
_SHELL_SIGNS: Final = frozenset("|&;<>()`*?~#\n")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM_FOLDERS: Final = frozenset({"proc", "dev", "sys", "tmp", "data", "run"})


def command(container: Container) -> list[str]:
    """Give the command of a run: split like a shell does, or by ``sh -c`` when the text has shell characters."""
    text = container.entrypoint or "sh $ALGO"
    if any(sign in text for sign in _SHELL_SIGNS):
        return ["/bin/sh", "-c", text.replace("$ALGO", ALGORITHM)]
    try:
        words = shlex.split(text)
    except ValueError:
        return ["/bin/sh", "-c", text.replace("$ALGO", ALGORITHM)]
    return [word.replace("$ALGO", ALGORITHM) for word in words]


def arguments(run: Run, root_entries: Sequence[tuple[str, str]], binds: int, secret: str) -> list[str]:
    """Give the options of bubblewrap.

    Args:
        run: What is to be run.
        root_entries: What the root shows: (place, where it is, or ``-> target`` for a link).
        binds: How many inputs the supervisor has put below ``BASE/in``.
        secret: The run's own random value.
    """
    options = [
        "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns",
        "--die-with-parent", "--new-session", "--hostname", "cove", "--cap-drop", "ALL",
        "--bind", f"{BASE}/w/root", "/",
    ]  # fmt: skip
    for place, source in root_entries:
        if source.startswith("-> "):
            options += ["--symlink", source[3:], place]
        else:
            options += ["--ro-bind", source, place]
    options += ["--proc", "/proc", "--dev", "/dev", "--bind", f"{BASE}/w/shm", "/dev/shm"]  # noqa: S108
    options += ["--bind", f"{BASE}/w/tmp", "/tmp", "--bind", f"{BASE}/w/home", "/home/job", "--tmpfs", "/data"]  # noqa: S108
    for name in ("inputs", "ddos", "transformations"):
        options += ["--dir", f"/data/{name}"]
    for number, bind in zip(range(binds), run.binds, strict=True):
        options += ["--ro-bind", f"{BASE}/in/{number}", bind.target]
    options += ["--bind", f"{BASE}/w/outputs", "/data/outputs", "--bind", f"{BASE}/w/logs", "/data/logs"]
    options += ["--remount-ro", "/data", "--chdir", "/"]
    for name, value in {**dict(run.environment), **_own_variables(secret)}.items():
        options += ["--setenv", name, value]
    return options


def _own_variables(secret: str) -> dict[str, str]:
    return {
        "PATH": _PATH, "HOME": "/home/job", "TMPDIR": "/tmp", "LANG": "C.UTF-8",  # noqa: S108 - inside the sandbox
        "VOLUME": "/data", "BASE_DIR": "/data", "INPUTS": "/data/inputs", "OUTPUTS": "/data/outputs",
        "LOGS": "/data/logs", "secret": secret, "SECRET": secret,
    }  # fmt: skip


def hidden(name: str) -> bool:
    """Say whether a top folder of an image is replaced by the sandbox's own."""
    return name in _SYSTEM_FOLDERS
