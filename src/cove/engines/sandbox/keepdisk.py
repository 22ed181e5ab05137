# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""A disk of one run that is too large for memory: ext4 in a sparse file that has no name, behind a loop device.

The file takes what is written to it and no more. Nothing of it can stay behind: it is gone with the last mount of it,
and the mount with the last process of its namespace. Standard library only.

As a script, ``keepdisk.py try FOLDER MKFS`` says by its exit code whether all of this works here.
"""

import errno
import fcntl
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves our own folder out
from keeping import is_nearly_full  # type: ignore[import-not-found]  # found beside this script
from keepmounts import Refused, libc, mount  # type: ignore[import-not-found]  # found beside this script

_GET_FREE, _CONFIGURE, _CLEAR = 0x4C82, 0x4C0A, 0x4C01
_AUTOCLEAR, _DIRECT = 4, 16
_BLOCK = 4096
_INODE = 256
_ROOM = 1 << 20
_FLAGS = 2 | 4 | 1024  # no setuid programs, no devices, no times of access
_OPTIONS = "noinit_itable,errors=remount-ro,nobarrier"
_FEATURES = "^has_journal,^resize_inode,^metadata_csum"
_TRIES = 100
_DETACH = 2


class Disk:
    """The disk of a run."""

    def __init__(self, folder, target, spec):
        """Make and mount it.

        Args:
            folder: Descriptor of a folder; what the run writes takes space of the file system that it is on.
            target: Path to mount it at.
            spec: ``bytes``, ``inodes``, and ``mkfs``: the path of mkfs.ext4.
        """
        self._folder, self._target = folder, target
        image = _nameless(folder)
        # What the file system needs for itself must not take the run's own room away.
        size = spec["bytes"] + spec["bytes"] // 1024 + spec["inodes"] * _INODE + _ROOM
        os.truncate(image, -(-size // _BLOCK) * _BLOCK)
        _format(image, spec)
        device, name = _attach(image)
        try:
            mount(name, target, "ext4", _FLAGS, _OPTIONS)
        finally:
            os.close(device)
            os.close(image)
        self._top = os.open(target, os.O_RDONLY | os.O_DIRECTORY)  # from now on a lost write is remembered for us

    def is_host_full(self):
        """Say whether the host is nearly out of space: soon, what the run writes would be lost without a word."""
        return is_nearly_full(os.fstatvfs(self._folder))

    def keeps_all(self):
        """Say whether everything that was written could be kept."""
        return libc.syncfs(self._top) == 0

    def close(self):
        """Give its space back; where something still holds it, that happens with the end of this process."""
        os.close(self._top)
        libc.umount2(self._target.encode(), _DETACH)


def _nameless(folder):
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as problem:
        if problem.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    image = os.open("disk", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
    os.unlink("disk", dir_fd=folder)
    return image


def _format(image, spec):
    os.set_inheritable(image, True)
    words = [
        spec["mkfs"], "-q", "-F", "-m", "0", "-b", str(_BLOCK), "-I", str(_INODE), "-N", str(spec["inodes"]),
        "-O", _FEATURES, "-E", "nodiscard,lazy_itable_init=1,root_owner=0:0", f"/proc/self/fd/{image}",
    ]  # fmt: skip
    _, status = os.waitpid(os.posix_spawn(words[0], words, {}), 0)
    os.set_inheritable(image, False)
    if status:
        # It says no more than that it failed; that there is no space is by far the likeliest.
        full = is_nearly_full(os.fstatvfs(image))
        raise OSError(errno.ENOSPC if full else errno.EIO, "mkfs.ext4 failed")


def _attach(image):
    """Put a free loop device upon the file; it lets go of it when it is closed and unmounted, whoever dies how."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        # Past the page cache where the host's file system can: otherwise everything is kept, and counted, twice.
        flags = _AUTOCLEAR | _DIRECT
        for _ in range(_TRIES):
            name = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, struct.pack("=II52xI240x", image, _BLOCK, flags))
            except OSError as problem:
                os.close(device)
                if problem.errno == errno.EINVAL and flags & _DIRECT:
                    flags = _AUTOCLEAR
                elif problem.errno != errno.EBUSY:  # busy: another took it first
                    raise
            else:
                return device, name
    finally:
        os.close(control)
    raise Refused("This host has no free loop device for the job's disk.")


def _try(folder, mkfs):
    if libc.unshare(0x20000):
        return 1
    mount("none", "/", None, 0x44000, None)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    Disk(descriptor, "/tmp", {"bytes": 16 << 20, "inodes": 64, "mkfs": mkfs}).close()  # noqa: S108 - ours alone here
    return 0


if __name__ == "__main__":
    try:
        code = _try(*sys.argv[2:])
    except (OSError, Refused):
        code = 1
    os._exit(code)
