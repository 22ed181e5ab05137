"""Pure: the command line of bubblewrap for one run, with every path below the supervisor's private folder."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from cove.core.images import ImageConfig
from cove.core.job import Run
from cove.engines.inside import HOME, PATH, names, variables

BASE: Final = "/tmp"  # noqa: S108 - the supervisor mounts its own file system there, in its own namespace
PYTHON: Final = "/opt/python"
"""Where the image ``host`` shows the Python that runs Cove, on a host whose /usr has none."""
_PAGE: Final = 4096
_OUR_INODES: Final = 200
_FOLDERS: Final = (
    ("w/root", 0o755), ("w/outputs", 0o755), ("w/logs", 0o755), ("w/home", 0o700), ("w/tmp", 0o1777), ("w/shm", 0o1777),
    ("etc", 0o755), ("bw", 0o755), ("data/inputs", 0o755), ("data/ddos", 0o755), ("data/transformations", 0o755),
    ("data/outputs", 0o755), ("data/logs", 0o755),
)  # fmt: skip
_SHOWN: Final = frozenset({"/data", "/data/inputs", "/data/outputs", "/data/logs", "/tmp"})  # noqa: S108 - inside
_SYSTEM_FOLDERS: Final = frozenset({"proc", "dev", "sys", "tmp", "data", "run"})


def mounts(run: Run, binds: Sequence[tuple[str, str]], work: str = "") -> dict[str, Any]:
    """Say what the supervisor's private file system holds (``keepmounts.make``).

    Args:
        run: What is to be run.
        binds: Further parts of this host: path, place below ``BASE``.
        work: Folder of this host that the run may change in a layer of its own; empty for none.
    """
    contents = [(bind.target.lstrip("/"), bind.content) for bind in run.binds if bind.content is not None]
    files = [*((f"etc/{name}", text.encode()) for name, text in names().items()), *contents]
    return {
        # Small files of ours lie on the same file system, and must not take the run's own room away.
        "size": run.resources.disk_bytes + sum(-(-len(content) // _PAGE) * _PAGE for _, content in files),
        "inodes": run.resources.inodes + _OUR_INODES + 4 * (len(run.binds) + len(binds)),
        "folders": _FOLDERS,
        "files": [(target, base64.b64encode(content).decode()) for target, content in files],
        "binds": binds,
        "work": work,
        "inputs": [(bind.source, bind.target.lstrip("/")) for bind in run.binds if bind.content is None],
    }


def arguments(
    run: Run,
    root_entries: Sequence[tuple[str, str]],
    secret: str,
    image: ImageConfig = ImageConfig(()),  # noqa: B008 - frozen
    *,
    has_work: bool = False,
) -> list[str]:
    """Give the options of bubblewrap.

    Args:
        run: What is to be run.
        root_entries: What the root shows: (place, where it is, or ``-> target`` for a link).
        secret: The run's own random value.
        image: What the image says of its runs.
        has_work: Whether its working directory is shown from the run's own layer.
    """
    options = [
        "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns",
        "--die-with-parent", "--new-session", "--hostname", "cove", "--cap-drop", "ALL",
        "--bind", f"{BASE}/w/root", "/",
    ]  # fmt: skip
    options += shown(root_entries)
    if has_work:
        options += ["--bind", f"{BASE}/bw/cwd", image.working_directory]
    options += ["--proc", "/proc", "--dev", "/dev", "--bind", f"{BASE}/w/shm", "/dev/shm"]  # noqa: S108
    options += ["--bind", f"{BASE}/w/tmp", "/tmp", "--bind", f"{BASE}/w/home", "/home/job"]  # noqa: S108
    # One bind for all inputs: bubblewrap reads the whole table of mounts for each.
    options += ["--ro-bind", f"{BASE}/data", "/data"]
    options += ["--bind", f"{BASE}/w/outputs", "/data/outputs", "--bind", f"{BASE}/w/logs", "/data/logs"]
    # bubblewrap's own /dev is a file system without a size, which the run could fill; /proc has the settings of the
    # run's own namespaces, and the memory of its first process.
    options += ["--remount-ro", "/dev", "--remount-ro", "/proc", "--chdir", _start(image.working_directory)]
    given = {name: value for name, value in image.environment if not name.startswith("LD_")}
    path = given.get("PATH") or PATH
    path = f"{path}:{PYTHON}/bin" if any(place == PYTHON for place, _ in root_entries) else path
    for name, value in {**given, **dict(run.environment), **variables(secret, path)}.items():
        options += ["--setenv", name, value]
    return options


def shown(root_entries: Sequence[tuple[str, str]]) -> list[str]:
    """Give the options of bubblewrap that show the entries of a root: (place, where it is, or ``-> target``)."""
    options: list[str] = []
    for place, source in root_entries:
        if source.startswith("-> "):
            options += ["--symlink", source[3:], place]
        else:
            options += ["--ro-bind", source, place]
    return options


def _start(working_directory: str) -> str:
    """Give the folder that a run starts in: what the sandbox hides of the image cannot be it."""
    top = "/" + working_directory.split("/")[1]
    if is_home(working_directory):
        return HOME
    if hidden(top[1:]):
        return working_directory if working_directory in _SHOWN else "/"
    return working_directory


def is_home(folder: str) -> bool:
    """Say whether a folder of an image lies where the job's own home is."""
    return f"{folder}/".startswith(f"{HOME}/")


def hidden(name: str) -> bool:
    """Say whether a top folder of an image is replaced by the sandbox's own."""
    return name in _SYSTEM_FOLDERS
