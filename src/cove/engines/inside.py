"""Pure: what every engine owes to a run inside it (``container.md``): its command, its variables, its user's name."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from cove.core.job import Container

ALGORITHM: Final = "/data/transformations/algorithm"
HOME: Final = "/home/job"
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL_SIGNS: Final = frozenset("|&;<>()$`*?~#\n")


def command(container: Container, *, has_shell: bool = True, own: Sequence[str] = ()) -> list[str]:
    """Give the command of a run: split like a shell does, or by ``sh -c`` when the text has shell characters.

    Args:
        container: What is to be run.
        has_shell: Whether the image has ``/bin/sh``; without one there is nothing but to split.
        own: The image's own command, for a container that names none; empty: the algorithm is run by ``sh``.
    """
    if not container.entrypoint and own:
        return list(own)
    text = (container.entrypoint or "sh $ALGO").replace("$ALGO", ALGORITHM)
    if has_shell and any(sign in text for sign in _SHELL_SIGNS):
        return ["/bin/sh", "-c", text]
    try:
        return shlex.split(text)
    except ValueError:
        return ["/bin/sh", "-c", text] if has_shell else text.split()


def variables(secret: str, path: str = PATH) -> dict[str, str]:
    """Give what every run finds in its environment, over everything that the consumer gave.

    Args:
        secret: The run's own random value, worth nothing.
        path: The image's own PATH, where it has one.
    """
    return {
        "PATH": path, "HOME": HOME, "TMPDIR": "/tmp", "LANG": "C.UTF-8",  # noqa: S108 - inside
        "VOLUME": "/data", "BASE_DIR": "/data", "INPUTS": "/data/inputs", "OUTPUTS": "/data/outputs",
        "LOGS": "/data/logs", "secret": secret, "SECRET": secret,
    }  # fmt: skip


def names(user: int = 1000) -> dict[str, str]:
    """Give the files of ``/etc`` that name the run's user.

    Args:
        user: Its uid inside, which is its gid too.
    """
    return {
        "passwd": f"root:x:0:0:root:/root:/bin/sh\njob:x:{user}:{user}:job:{HOME}:/bin/sh\n",
        "group": f"root:x:0:\njob:x:{user}:\n",
        "hosts": "127.0.0.1 localhost\n",
    }
