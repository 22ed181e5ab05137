# mypy: allow-untyped-defs, allow-untyped-calls, no-check-untyped-defs
"""The private file system of one run, as its supervisor makes it: everything that bubblewrap binds lies below ``base``.

It is a sized tmpfs in a mount namespace of the supervisor's own, so that nothing is left mounted when that dies.
Standard library only.
"""

import base64
import ctypes
import errno
import os
import stat
import struct

libc = ctypes.CDLL(None, use_errno=True)

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_BIND, _PRIVATE, _NOSUID_NODEV = 4096, 0x44000, 6
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_EMPTY_PATH, _CLONE, _FROM_EMPTY_PATH = 0x1000, 1, 4
_ATTR_IDMAP = 0x100000


class Refused(Exception):
    """The file system could not be made; the text is for people."""


def make(base, spec, owner, put_disk=None):
    """Enter a new mount namespace and fill ``base``.

    Args:
        base: A folder that is there; what lies in it is hidden by the new file system.
        spec: ``size`` (bytes), ``inodes``, ``folders`` (name, mode: those below ``w`` are the run's own), ``files``
            (target, base64), ``binds`` (source, target), ``inputs`` (source, target: the run must be able to read
            them), ``work`` (folder of an image that the run may change in a layer of its own; empty for none); names
            and targets are relative to ``base``.
        owner: Host uid of the run.
        put_disk: Mounts a file system of its own for what the run writes, at a path; None keeps that in memory.
    """
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_NEWNS | (0 if uid == 0 else _NEWUSER)):
        raise Refused("This host does not let the service make namespaces; cove doctor says more.")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount("none", "/", None, _PRIVATE, None)
    # Opened before ``base`` is covered: they may lie below it.
    binds = [(_open(source), target) for source, target in spec["binds"]]
    inputs = [(_open(source), target) for source, target in spec["inputs"]]
    work = _open(spec["work"]) if spec["work"] else -1
    mount("cove", base, "tmpfs", _NOSUID_NODEV, f"size={spec['size']},nr_inodes={spec['inodes']},mode=0755")
    if put_disk is not None:
        os.mkdir(f"{base}/w")
        put_disk(f"{base}/w")
    for name, mode in spec["folders"]:
        os.makedirs(f"{base}/{name}")
        os.chmod(f"{base}/{name}", mode)
        if uid == 0 and name.startswith("w/"):
            os.chown(f"{base}/{name}", owner, owner)
    for target, content in spec["files"]:
        _touch(f"{base}/{target}", base64.b64decode(content))
    for source, target in binds:
        _bind(source, f"{base}/{target}")
    for source, target in inputs:
        _input(source, f"{base}/{target}", owner if uid == 0 else None)
    if work >= 0:
        import keepwork  # type: ignore[import-not-found]  # noqa: PLC0415 - it imports this module

        keepwork.make(base, work, f"{base}/bw/cwd", owner if uid == 0 else None)
        os.close(work)


def mount(source, target, kind, flags, options):
    """Mount something, as the system call does; OSError when it refuses."""
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _check(libc.mount(*texts[:3], flags, texts[3]))


def _open(source):
    try:
        return os.open(source, os.O_PATH)
    except OSError:
        raise Refused("An input, or the image, is not there any more.") from None


def _touch(target, content=b""):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o755)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.close(descriptor)


def _place(source, target):
    """Make what a mount can stand on."""
    if stat.S_ISDIR(os.fstat(source).st_mode):
        os.makedirs(target)
    else:
        _touch(target)


def _bind(source, target):
    _place(source, target)
    mount(f"/proc/self/fd/{source}", target, None, _BIND, None)
    os.close(source)


def _input(source, target, owner):
    """Bind an input so that the run can read it; ``owner`` is None where it runs as the service's own user."""
    mode = os.fstat(source).st_mode
    is_folder = stat.S_ISDIR(mode)
    is_open = mode & (stat.S_IXOTH if is_folder else stat.S_IROTH)
    # What lies in a folder is not looked at one by one, so it is always shown as the run's own.
    if owner is None or (is_open and not is_folder):
        _bind(source, target)
        return
    try:
        bind_as(source, target, owner)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
            raise
        if not is_open:
            raise Refused(
                "An input may be read by its owner alone, and its file system cannot map it to the job: chmod o+r."
            ) from None
        mount(f"/proc/self/fd/{source}", target, None, _BIND, None)
    os.close(source)


def bind_as(source, target, owner):
    """Show what only its owner may read as the run's own, by a mount with mapped ids: no byte is copied."""
    _place(source, target)
    facts = os.fstat(source)
    namespace = _user_namespace(facts.st_uid, facts.st_gid, owner)
    tree = -1
    try:
        tree = _check(libc.syscall(_OPEN_TREE, source, b"", _EMPTY_PATH | _CLONE | os.O_CLOEXEC))
        attributes = struct.pack("=QQQQ", _ATTR_IDMAP, 0, 0, namespace)
        _check(libc.syscall(_MOUNT_SETATTR, tree, b"", _EMPTY_PATH, attributes, len(attributes)))
        _check(libc.syscall(_MOVE_MOUNT, tree, b"", -100, target.encode(), _FROM_EMPTY_PATH))
    finally:
        if tree >= 0:
            os.close(tree)
        os.close(namespace)


def _user_namespace(uid, gid, owner):
    """Give a descriptor of a user namespace that maps a file's owner to the run's; its one process ends at once."""
    ready, made = os.pipe()
    done, close = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(close)
            os.write(made, b"!" if libc.unshare(_NEWUSER) == 0 else b"?")
            os.read(done, 1)
        finally:
            os._exit(0)
    os.close(made)
    os.close(done)
    try:
        if os.read(ready, 1) != b"!":
            raise Refused("This host does not let the service make user namespaces; cove doctor says more.")
        for name, inside in (("uid_map", uid), ("gid_map", gid)):
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write(f"{inside} {owner} 1")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    finally:
        os.close(close)
        os.close(ready)
        os.waitpid(child, 0)


def _check(answer):
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
