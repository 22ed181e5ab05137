# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""An image's working directory, which a run may change on a throw-away layer of its own. Standard library only.

The layer lies on the run's own sized file system, so it counts as what the run writes. Where the kernel cannot lay one
file system over another for this run, the directory is copied there.
"""

import os

import keepmounts  # type: ignore[import-not-found]  # found beside this script


def make(base, source, target, owner):
    """Show a folder of an image at ``target``, as the run's own.

    Args:
        base: The run's file system.
        source: Descriptor of the folder.
        target: Where to; it is made.
        owner: Host uid of the run; None where it runs as the service's own user.
    """
    os.makedirs(target)
    upper, work, lower = (f"{base}/bw/{name}" for name in ("upper", "work", "lower"))
    for place in (upper, work):
        os.mkdir(place, 0o755)
    try:
        below = f"/proc/self/fd/{source}"
        if owner is not None:
            os.chown(upper, owner, owner)
            # Its files belong to the service; seen through here they belong to the run.
            keepmounts.bind_as(source, lower, owner)
            below = lower
        keepmounts.mount("cove", target, "overlay", 6, _options(below, upper, work, owner))
    except (OSError, keepmounts.Refused):
        _copy(f"/proc/self/fd/{source}", target, owner)


def _options(below, upper, work, owner):
    options = f"lowerdir={below},upperdir={upper},workdir={work}"
    return options if owner is not None else f"{options},userxattr"


def _copy(source, target, owner):
    import shutil  # noqa: PLC0415 - slow to import, and hardly ever needed

    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    if owner is None:
        return
    os.chown(target, owner, owner)
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            os.chown(f"{folder}/{name}", owner, owner, follow_symlinks=False)
