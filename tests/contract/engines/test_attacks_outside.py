"""Further attacks of an algorithm, each judged by what is seen from outside: by what came out, and what became of the host."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.calls import needs_a_known_machine, number_of
from tests.support.runs import Finished, Stage, a_run, processes_of

from cove.core.job import Bind
from cove.core.lifecycle import Active

#: What a run does before anything else so that nobody finds it by its name, and no signal but SIGKILL ends it.
HIDE = """
def hide():
    for number in range(1, 65):
        libc.signal(number, 1)
    attempt(os.setsid)
    libc.prctl(15, b"kworker/0:1", 0, 0, 0)
"""


@pytest.fixture
def token() -> str:
    """Something that no run may see."""
    return secrets.token_hex(16)


class Line:
    """A pipe of which a run is shown the end for writing: from outside it is seen whether anybody still holds that."""

    def __init__(self, folder: Path) -> None:
        place = folder / "line"
        os.mkfifo(place)
        place.chmod(0o666)
        self.bind = Bind(str(place), "/data/inputs/line/0")
        self._end = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def is_held(self) -> bool:
        """Say whether a process has it open; what was written to it is forgotten."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._end, 1 << 16):
                pass
            return False
        return True

    def close(self) -> None:
        os.close(self._end)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.close()


def told_by(finished: Finished) -> str:
    """Give everything that came out of a run."""
    files = {**finished.outputs, **finished.logs}
    return "".join([finished.log, finished.exit.detail, *files, *(repr(content) for content in files.values())])


def of_this_host(name: str) -> str:
    """Read a file of ``/proc``; nothing where this host has none of that name."""
    try:
        return Path("/proc", name).read_text()
    except OSError:
        return ""


# ------------------------------------------------------------------------------------------------ what others keep


async def test_keys_databases_and_data_of_others_do_not_come_out(
    stage: Stage, tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a service keeps beside its runs, under every name that an attacker can know, opened by every way there is."""
    monkeypatch.setenv("COVE_KEY", token)
    state = stage.folder
    places = [state / "cove.db", state / "key", state / "engine" / "key", tmp_path / "cove.toml"]
    for place in places:
        place.parent.mkdir(exist_ok=True)
        place.write_text(token)
        place.chmod(0o644)
    data = tmp_path / "others.csv"
    data.write_text(token)
    victim = a_run("tell(); wait()", *stage.channel.binds, Bind(str(data), "/data/inputs/b/0"))
    await stage.begin(victim)
    script = f"""
places = {[str(place) for place in places]!r} + [{str(data)!r}, {str(state)!r}, {victim.id!r}]
ways = ["{{}}", "/proc/1/root{{}}", "/proc/self/root{{}}", "/proc/1/cwd/..{{}}", "/data/../..{{}}", "/data/inputs/../..{{}}"]
for place in places:
    for way in ways:
        for trial in (way.format(place), way.format(os.path.dirname(place))):
            try:
                print(os.listdir(trial) if os.path.isdir(trial) else open(trial).read())
            except OSError:
                pass
            for make in (os.link, os.symlink):
                attempt(make, trial, f"/data/outputs/{{make.__name__}}{{abs(hash((trial, place)))}}")
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps", "stack", "mountinfo"):
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(open(f"/proc/{{pid}}/{{name}}", "rb").read())
        except OSError:
            pass
    for number in os.listdir(f"/proc/{{pid}}/fd"):
        try:
            if int(number) > 2:
                print(open(f"/proc/{{pid}}/fd/{{number}}").read(100))
        except (OSError, ValueError):
            pass
"""
    finished = await stage.finish(a_run(script))
    assert finished.exit.failure == ""
    assert token not in told_by(finished)
    stage.channel.answer()
    assert (await stage.ended(victim.id)).code == 0


async def test_inputs_are_the_same_afterwards(stage: Stage, tmp_path: Path) -> None:
    """By file and by folder, in place, by a map of memory, by a new name, and by a mode."""
    data, folder = tmp_path / "data.csv", tmp_path / "folder"
    folder.mkdir()
    for place in (data, folder / "inner.csv"):
        place.write_text("true")
        place.chmod(0o666)
    folder.chmod(0o777)
    before = [(place.stat().st_mode, place.stat().st_nlink, place.stat().st_mtime_ns) for place in (data, folder)]
    script = """
import fcntl, mmap
for place in ("/data/inputs/a/0", "/data/inputs/a/1/inner.csv"):
    write(place, "forged")
    attempt(os.rename, place, place + ".old"); attempt(os.unlink, place); attempt(os.chmod, place, 0o777)
    attempt(os.utime, place, (0, 0)); attempt(os.link, place, "/data/outputs/a"); attempt(os.truncate, place, 0)
    attempt(os.setxattr, place, "user.x", b"y"); attempt(os.replace, "/data/transformations/algorithm", place)
    held = os.open(place, os.O_RDONLY)
    attempt(lambda: mmap.mmap(held, 0, flags=mmap.MAP_SHARED, prot=3).write(b"forged"))
    attempt(os.posix_fallocate, held, 0, 1 << 20); attempt(os.sendfile, held, held, 0, 4)
    attempt(fcntl.ioctl, held, 0x40086602, b"\\x10" + bytes(7))
    attempt(os.fchmod, held, 0o4777); attempt(os.copy_file_range, held, held, 2)
"""
    run = a_run(script, Bind(str(data), "/data/inputs/a/0"), Bind(str(folder), "/data/inputs/a/1"))
    finished = await stage.finish(run)
    assert (finished.exit.failure, finished.outputs) == ("", {})
    await stage.engine.remove(run.id)  # an engine may hold an input by a link of its own until then
    assert (data.read_text(), (folder / "inner.csv").read_text()) == ("true", "true")
    assert [place.name for place in folder.iterdir()] == ["inner.csv"]
    after = [(place.stat().st_mode, place.stat().st_nlink, place.stat().st_mtime_ns) for place in (data, folder)]
    assert after == before


async def test_shared_memory_of_this_host_stays_as_it_is(stage: Stage) -> None:
    """Of System V, where a number is all that one must know."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    key = secrets.randbelow(1 << 30) + 1
    segment = libc.shmget(key, 4096, 0o1666)
    if segment < 0:
        pytest.skip("this host gives no shared memory: allow shmget")
    address = libc.shmat(segment, None, 0)
    try:
        ctypes.memmove(address, b"true", 4)
        script = f"""
libc.shmat.restype = ctypes.c_void_p
for number in [libc.shmget({key}, 4096, 0), {segment}, *range(64)]:
    place = libc.shmat(number, None, 0)
    if place not in (None, ctypes.c_void_p(-1).value):
        ctypes.memmove(place, b"lies", 4)
    libc.shmctl(number, 0, None)
"""
        await stage.finish(a_run(script))
        assert ctypes.string_at(address, 4) == b"true"
        assert libc.shmget(key, 4096, 0) == segment
    finally:
        libc.shmdt(ctypes.c_void_p(address))
        libc.shmctl(segment, 0, None)


@needs_a_known_machine
async def test_no_key_and_no_mount_of_a_run_is_seen_on_this_host(stage: Stage, token: str) -> None:
    script = f"""
name = b"{token}"
for ring in (-1, -2, -3, -4, -5):
    call({number_of("add_key")}, b"user", name, b"x", 1, ring)
    call({number_of("add_key")}, b"keyring", name, None, 0, ring)
os.makedirs("/tmp/{token}")
for kind in (b"tmpfs", b"proc", b"sysfs", b"cgroup2", b"overlay"):
    call({number_of("mount")}, b"none", b"/tmp/{token}", kind, 0, None)
call({number_of("mount")}, b"/", b"/tmp/{token}", None, 4096 | 16384, None)
call({number_of("mount")}, None, b"/", None, 1 << 20 | 16384, None)
tell(); wait()
"""
    run = a_run(script, *stage.channel.binds)
    await stage.begin(run)
    assert token not in of_this_host("self/mountinfo") + of_this_host("keys")
    stage.channel.answer()
    assert (await stage.ended(run.id)).code == 0


@needs_a_known_machine
async def test_nobody_else_is_traced_or_stopped(stage: Stage) -> None:
    victim = a_run("tell(); wait()", *stage.channel.binds)
    await stage.begin(victim)
    targets = [os.getpid(), os.getppid(), *processes_of(victim.id)]
    script = f"""
for pid in {targets!r}:
    for request in (16, 0x4206):
        call({number_of("ptrace")}, request, pid, 0, 0)
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1):
        attempt(os.kill, pid, number); attempt(os.killpg, pid, number)
        call(434, pid, 0); call(424, 3, number, None, 0)
    call({number_of("process_vm_writev")}, pid, ctypes.create_string_buffer(16), 0, ctypes.create_string_buffer(16), 0, 0)
"""
    await stage.finish(a_run(script))
    for pid in targets[2:]:
        facts = dict(text.split(":\t", 1) for text in of_this_host(f"{pid}/status").splitlines() if ":\t" in text)
        assert (facts["TracerPid"], facts["State"][0] in "RSD") == ("0", True)
    assert isinstance(await stage.observe(victim.id), Active)
    stage.channel.answer()
    assert (await stage.ended(victim.id)).code == 0


async def test_a_listener_on_every_kind_of_local_socket_hears_nothing(stage: Stage, token: str) -> None:
    """One of the virtual machine's own, a sequence of packets under an abstract name, and a name service's port."""
    with contextlib.ExitStack() as stack:
        heard = []
        packets = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        packets.bind(f"\0{token}")
        packets.listen()
        heard.append(packets)
        names = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.bind(("127.0.0.1", 0))
        heard.append(names)
        port = 0
        with contextlib.suppress(OSError):  # where this host has no vsock, the refusal inside is seen elsewhere
            machine = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            heard.append(stack.enter_context(machine))
            machine.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
            machine.listen()
            port = machine.getsockname()[1]
        for listening in heard:
            listening.settimeout(0)
        script = f"""
query = bytes.fromhex("abcd01000001000000000000076578616d706c6503636f6d0000010001")
acts = [lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("\\0{token}")]
for address in ("127.0.0.1", "127.0.0.53", "localhost", "0.0.0.0"):
    acts.append(lambda address=address: socket.socket(type=socket.SOCK_DGRAM).sendto(query, (address, {names.getsockname()[1]})))
for cid in (0, 1, 2, 3):
    acts.append(lambda cid=cid: socket.socket(40, 1).connect((cid, {port})))
for act in acts:
    attempt(act)
"""
        finished = await stage.finish(a_run(script))
        assert (finished.exit.code, finished.log) == (0, "")
        for listening in heard:
            with pytest.raises(BlockingIOError):
                listening.recv(1) if listening is names else listening.accept()


# ------------------------------------------------------------------------------------------------ too much of it


async def test_two_hundred_thousand_files_are_bounded(stage: Stage) -> None:
    script = """
made = 0
for top in ("/data/outputs", "/data/logs", "/tmp", "/home/job"):
    attempt(os.makedirs, f"{top}/many")
    for number in range(50_000):
        try:
            os.close(os.open(f"{top}/many/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
        except OSError:
            pass
print(made)
"""
    run = a_run(script, inodes=2000, time_seconds=600)
    finished = await stage.finish(run, patience=300)  # where files are not counted, a busy machine copies half of them
    assert finished.exit.failure == ""
    if stage.traits.counts_files:
        assert len(finished.outputs) + len(finished.logs) <= 2300
        assert 1000 <= int(finished.log) <= 2300
    other = await stage.finish(a_run("Path('/data/outputs/a').write_text('x')"))
    assert other.outputs == {"a": b"x"}
    await stage.engine.remove(run.id)


async def test_a_disk_that_is_filled_over_and_over_stays_within_its_limit(stage: Stage) -> None:
    """Kept files, files without a name that a process holds, and memory of files: they all count."""
    script = """
held = []
for _ in range(64):
    try:
        held.append(os.open("/data/outputs", os.O_TMPFILE | os.O_RDWR))
        os.write(held[-1], bytes(1 << 20))
    except OSError:
        break
for top in ("/data/outputs", "/tmp", "/dev/shm", "/home/job", "/data/logs"):
    for number in range(64):
        try:
            Path(top, f"fill{number}").write_bytes(bytes(1 << 20))
        except OSError:
            pass
print(len(held))
"""
    run = a_run(script, disk_bytes=8 << 20)
    finished = await stage.finish(run)
    kept = sum(len(content or b"") for content in (*finished.outputs.values(), *finished.logs.values()))
    assert kept <= 9 << 20
    assert finished.exit.failure == ""
    if finished.exit.code == 0:
        assert int(finished.log) <= 9


# ------------------------------------------------------------------------------------------------ what stays


async def test_a_daemon_without_a_name_does_not_outlive_its_run(stage: Stage, line: Line) -> None:
    """Found by nothing but what it holds open: it has left the session, ignores every signal, and calls itself a kernel's."""
    script = f"""
{HIDE}
def stay():
    hide()
    held = os.open("/data/inputs/line/0", os.O_WRONLY)
    os.write(told, b"!")
    while True:
        signal.pause()
ready, told = os.pipe()
for _ in range(3):
    daemon(stay)
    os.read(ready, 1)
"""
    finished = await stage.finish(a_run(script, line.bind))
    assert finished.exit.failure == ""
    assert not line.is_held()


async def test_one_that_ignores_everything_is_gone_after_the_grace(stage: Stage, line: Line) -> None:
    script = f"""
{HIDE}
hide()
held = os.open("/data/inputs/line/0", os.O_WRONLY)
Path("/data/outputs/a").write_text("kept")
while os.fork() == 0 and os.getpid() % 4:
    hide()
tell()
while True:
    signal.pause()
"""
    run = a_run(script, line.bind, *stage.channel.binds)
    await stage.begin(run)
    assert line.is_held()
    await stage.engine.cancel(run.id, grace_seconds=0.2)
    finished = await stage.finished(run.id)
    assert (finished.exit.code, finished.exit.ended_by) == (128 + signal.SIGKILL, "stopped")
    assert finished.outputs == {"a": b"kept"}
    assert not line.is_held()


async def test_a_crash_leaves_no_image_of_the_memory(stage: Stage, token: str) -> None:
    script = f"""
secret = "{token[:16]}" + "{token[16:]}"
os.chdir("/data/outputs")
os.kill(os.getpid(), signal.SIGSEGV)
"""
    finished = await stage.finish(a_run(script))
    assert finished.exit.code == 128 + signal.SIGSEGV
    assert finished.outputs == {}
    assert token not in told_by(finished)
