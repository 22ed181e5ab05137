"""Attacks of an algorithm on this host, on other runs and on what is told of it: each is tried for real, and fails."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.runs import Stage, a_run, processes_of, traces_of

from cove.core.job import Bind, Run
from cove.core.lifecycle import Active

LISTENING = "127.0.0.1"
#: Number of each system call on x86_64 and on aarch64; None where it has none.
CALLS: dict[str, tuple[int, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106), "finit_module": (313, 273),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None), "kcmp": (312, 272),
    "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "request_key": (249, 218),
    "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170),
    "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip
OTHERS = {"clone": (56, 220), "clone3": (435, 435), "personality": (135, 92), "socket": (41, 198), "ioctl": (16, 29)}
MACHINE = {"x86_64": 0, "aarch64": 1}.get(platform.machine())
needs_a_known_machine = pytest.mark.skipif(MACHINE is None, reason="the filter is for x86_64 and aarch64: run it there")


def number_of(call: str) -> int:
    found = (CALLS | OTHERS)[call][MACHINE or 0]
    assert found is not None
    return found


@contextlib.contextmanager
def listener(family: int, kind: int, address: object) -> Iterator[socket.socket]:
    with socket.socket(family, kind) as made:
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.settimeout(0)
        yield made


def heard_nothing(listening: socket.socket) -> bool:
    try:
        listening.accept() if listening.type == socket.SOCK_STREAM else listening.recv(100)
    except BlockingIOError:
        return True
    return False


async def running(stage: Stage, script: str, *binds: Bind, **limits: object) -> Run:
    run = a_run(script, *stage.channel.binds, *binds, **limits)
    await stage.begin(run)
    return run


# ------------------------------------------------------------------------------------------------ network


async def test_the_loopback_of_the_host_is_out_of_reach(stage: Stage) -> None:
    with (
        listener(socket.AF_INET, socket.SOCK_STREAM, (LISTENING, 0)) as tcp,
        listener(socket.AF_INET, socket.SOCK_DGRAM, (LISTENING, 0)) as udp,
    ):
        script = f"""
found = {{}}
for address in ("127.0.0.1", "localhost", "127.1", "0.0.0.0", "::ffff:127.0.0.1"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as tcp:
        found[address] = attempt(tcp.connect, (address, {tcp.getsockname()[1]}))
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        attempt(udp.sendto, b"heard?", (address, {udp.getsockname()[1]}))
say(found)
"""
        found = await stage.said(script)
        assert set(found.values()) <= {"ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL"}
        assert heard_nothing(tcp)
        assert heard_nothing(udp)


async def test_there_is_no_network_and_no_name_service(stage: Stage) -> None:
    script = """
found = {}
for host, port in [("192.0.2.1", 80), ("8.8.8.8", 53), ("169.254.169.254", 80), ("10.0.0.1", 443), ("172.17.0.1", 80)]:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.settimeout(5)
        found[f"tcp {host}"] = attempt(tcp.connect, (host, port))
        found[f"udp {host}"] = attempt(udp.sendto, b"x", (host, port))
with socket.socket(socket.AF_INET6) as tcp:
    found["tcp 6"] = attempt(tcp.connect, ("2001:db8::1", 80))
for name in ("example.com", "host.docker.internal", "metadata.google.internal"):
    found[name] = "unknown"
    try:
        found[name] = socket.gethostbyname(name)
    except OSError:
        pass
say([found, socket.if_nameindex()])
"""
    found, interfaces = await stage.said(script)
    assert set(found.values()) == {"ENETUNREACH", "unknown"}
    assert [name for _, name in interfaces] == ["lo"] or not stage.traits.network_is_bare


@needs_a_known_machine
async def test_sockets_that_no_network_namespace_holds_are_refused(stage: Stage) -> None:
    script = """
found = {}
for name, family, kind, protocol in [
    ("raw", 2, 3, 1), ("raw 6", 10, 3, 58), ("packet", 17, 3, 0x300), ("packet dgram", 17, 2, 0), ("alg", 38, 5, 0),
    ("vsock", 40, 1, 0), ("vsock dgram", 40, 2, 0), ("vsock seqpacket", 40, 5, 0), ("xdp", 44, 3, 0), ("key", 15, 3, 2),
]:
    found[name] = attempt(lambda: socket.socket(family, kind, protocol).close())
    found[f"{name} by number"] = call(%d, family | 1 << 32, kind | 0x80000, protocol)
say(found)
"""
    found: dict[str, str] = await stage.said(script % number_of("socket"))
    assert "done" not in found.values(), found
    assert {error for name, error in found.items() if name.split()[0] in {"packet", "alg", "vsock", "xdp"}} == {"EPERM"}


async def test_sockets_with_a_name_of_the_host_are_out_of_reach(stage: Stage, tmp_path: Path) -> None:
    name = f"cove-test-{secrets.token_hex(8)}"
    # A socket's path has a hundred bytes at most, so it lies not below pytest's own folder.
    place = Path("/tmp") / name  # noqa: S108 - the name is random
    try:
        with (
            listener(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}") as abstract,
            listener(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{name}-2") as datagram,
            listener(socket.AF_UNIX, socket.SOCK_STREAM, str(place)) as named,
        ):
            script = f"""
found = []
for kind, name in [(1, "\\0{name}"), (2, "\\0{name}-2"), (1, "{place}")]:
    with socket.socket(socket.AF_UNIX, kind) as other:
        found.append(attempt(other.connect, name))
found.append(Path("/proc/net/unix").read_text().count("{name}"))
say(found)
"""
            assert await stage.said(script) == ["ECONNREFUSED", "ECONNREFUSED", "ENOENT", 0]
            assert heard_nothing(abstract)
            assert heard_nothing(datagram)
            assert heard_nothing(named)
    finally:
        place.unlink()


# ------------------------------------------------------------------------------------------------ files of others


async def test_files_of_the_host_are_not_there(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    places = [
        "/root", "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/hostname", "/etc/resolv.conf", "/var", "/home/root",
        "/srv", "/mnt", "/boot", "/sys", "/run", "/run/docker.sock", "/opt", "/work", str(stage.folder),
        str(tmp_path / "secret"), __file__, str(Path.cwd()),
        "/proc/1/root/etc/shadow", "/proc/self/root/../etc/shadow", "/proc/1/cwd/../../../etc/shadow", "/../etc/shadow",
        "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/vda", "/dev/sda", "/dev/net/tun", "/dev/userfaultfd",
    ]  # fmt: skip
    found = await stage.said(f"say({{place: attempt(os.stat, place) for place in {places!r}}})")
    seen = {place for place, error in found.items() if error not in {"ENOENT", "EACCES", "ENOTDIR"}}
    assert seen <= stage.traits.own_places
    for place in sorted(seen):
        text = await stage.said(f"say(Path({place!r}).read_text() if os.path.isfile({place!r}) else '')")
        assert socket.gethostname() not in text


async def test_other_runs_are_out_of_sight(stage: Stage) -> None:
    token = secrets.token_hex(16)
    victim = await running(
        stage,
        f"""
for place in ("/data/outputs/a", "/tmp/a", "/dev/shm/a", "/home/job/a", "a", "/data/logs/a"):
    Path(place).write_text("{token}")
print("{token}", flush=True)
tell(); wait()
""",
    )
    script = f"""
found = []
for top, below, names in os.walk("/"):
    below[:] = [name for name in below if os.path.join(top, name) not in ("/usr", "/proc/sys", "/dev/fd")]
    for name in names:
        place = os.path.join(top, name)
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
            if place != "{"/data/transformations/algorithm"}" and b"{token}" in os.read(handle, 1 << 16):
                found.append(place)
            os.close(handle)
        except OSError:
            pass
say([place for place in found if not place.endswith(("/mem", "/pagemap"))])
"""
    assert await stage.said(script) == []
    stage.channel.answer()
    assert (await stage.ended(victim.id)).code == 0


async def test_processes_of_others_are_out_of_sight_and_out_of_reach(stage: Stage) -> None:
    victim = await running(stage, "tell(); wait()")
    targets = [os.getpid(), os.getppid(), *processes_of(victim.id)]
    script = f"""
found = {{}}
for pid in {targets!r}:
    found[pid] = [attempt(os.kill, pid, 0), attempt(os.kill, pid, 9), attempt(os.pidfd_open, pid),
                  attempt(os.stat, f"/proc/{{pid}}"), attempt(os.sched_setaffinity, pid, [0]), attempt(os.getsid, pid)]
say([found, [pid for pid in os.listdir("/proc") if pid.isdigit()], [os.readlink(f"/proc/{{n}}/exe") for n in (1, "self")]])
"""
    found, pids, programs = await stage.said(script)
    assert {error for errors in found.values() for error in errors} <= {"ESRCH", "ENOENT", "EINVAL"}
    assert len(pids) == stage.traits.processes
    assert len(programs) == 2
    assert isinstance(await stage.observe(victim.id), Active)
    stage.channel.answer()
    assert (await stage.ended(victim.id)).code == 0


async def test_killing_everything_kills_the_attacker_alone(stage: Stage) -> None:
    victim = await running(stage, "tell(); wait()")
    script = """
if os.fork() == 0:
    os.kill(-1, signal.SIGKILL)
    os.kill(1, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)
signal.pause()
"""
    attacker = await stage.finish(a_run(script))
    assert (attacker.exit.code, attacker.exit.failure) == (137, "")
    assert isinstance(await stage.observe(victim.id), Active)
    stage.channel.answer()
    assert (await stage.ended(victim.id)).code == 0


async def test_every_namespace_is_the_runs_own(stage: Stage) -> None:
    kinds = sorted(stage.traits.namespaces)
    script = f"say({{kind: os.readlink(f'/proc/self/ns/{{kind}}') for kind in {kinds!r}}})"
    first, second = await stage.said(script), await stage.said(script)
    assert [kind for kind in kinds if our_namespace(kind) in {first[kind], second[kind]}] == []


def our_namespace(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


async def test_inputs_cannot_be_written_by_any_way_around(stage: Stage, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("true")
    data.chmod(0o666)
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    script = """
place, folder = "/data/inputs/a/0", "/data/inputs/a/1"
held = os.open(place, os.O_RDONLY)
top = os.open(folder, os.O_RDONLY)
ways = [f"/proc/self/fd/{held}", f"/dev/fd/{held}", f"/proc/1/root{place}", f"/proc/self/root{place}", place]
found = [write(way, "forged") for way in ways]
found += [attempt(os.open, "new", os.O_WRONLY | os.O_CREAT, dir_fd=top), attempt(os.fchmod, held, 0o777)]
found += [attempt(os.open, folder, os.O_WRONLY | os.O_TMPFILE), attempt(os.truncate, held, 0)]
found += [attempt(os.symlink, "x", f"{folder}/x"), attempt(os.mkfifo, f"{folder}/y")]
say(found)
"""
    found = await stage.said(script, Bind(str(data), "/data/inputs/a/0"), Bind(str(folder), "/data/inputs/a/1"))
    assert set(found) <= {"EROFS", "EINVAL", "EBADF", "EPERM", "EACCES"}, found
    assert (data.read_text(), list(folder.iterdir())) == ("true", [])


# ------------------------------------------------------------------------------------------------ outputs


async def test_a_swap_of_folders_and_links_while_the_run_ends_reads_nothing_else(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
os.makedirs("a/etc")
Path("a/etc/passwd").write_text("mine")
os.symlink("/", "b")
begun, told = os.pipe()
def swap():
    for number in range(1 << 62):
        libc.renameat2(-100, b"a", -100, b"b", 2)
        if number == 100:
            os.write(told, b"!")
daemon(swap)
os.read(begun, 1)
"""
    finished = await stage.finish(a_run(script))
    kept = {content for content in finished.outputs.values() if content is not None}
    assert kept == {b"mine"}
    assert len(finished.outputs) == 1


async def test_huge_and_sparse_files_take_no_more_than_the_limit(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("small").write_text("kept")
for number in range(40):
    with open(f"sparse{number}", "wb") as file:
        file.truncate(1 << 20)
with open("monster", "wb") as file:
    reached = attempt(file.truncate, 1 << 42)
    asked = attempt(os.posix_fallocate, file.fileno(), 0, 64 << 20)
say([reached, asked])
"""
    run = a_run(script, disk_bytes=8 << 20)
    finished = await stage.finish(run)
    assert finished.said[1] in {"ENOSPC", "EFBIG"}
    places = await stage.engine.collect(run.id)
    blocks = sum(place.stat().st_blocks * 512 for place in places.outputs.rglob("*"))
    assert blocks <= 9 << 20
    assert not finished.outputs.get("monster")
    assert len(finished.outputs) < 12


async def test_one_file_under_many_names_takes_no_more_than_the_limit(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("0").write_bytes(b"x" * (1 << 20))
for number in range(1, 200):
    os.link("0", str(number))
"""
    run = a_run(script, disk_bytes=4 << 20)
    finished = await stage.finish(run)
    assert finished.exit.failure == ""
    assert sum(len(content or b"") for content in finished.outputs.values()) <= 5 << 20


async def test_hostile_names_and_depths_neither_hide_a_run_nor_stay(stage: Stage) -> None:
    r"""What is left out is named in the engine's own record, whatever quotes and escapes it holds."""
    script = r"""
os.chdir("/data/outputs")
for number in range(40):
    os.mkfifo(f"{number:02}" + '\\"' * 126)
    os.mkfifo(os.fsencode(f"{number:02}") + b"\xff\n" * 120)
Path("-rf").write_text("x")
Path("kept").write_text("x")
for _ in range(300):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
Path("deep").write_text("x")
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.exit.failure) == (0, "")
    assert finished.outputs == {"kept": b"x", "-rf": b"x"}
    await stage.engine.remove(run.id)
    assert list(await stage.engine.runs()) == []


# ------------------------------------------------------------------------------------------------ exhaustion


async def test_a_fork_bomb_stays_within_its_limit(stage: Stage) -> None:
    rounds = "itertools.count()" if "pids" in stage.enforced else "range(5)"
    script = f"""
import itertools
main = os.getpid()
for _ in {rounds}:
    try:
        os.fork()
    except OSError:
        break
if os.getpid() == main:
    tell(); wait()
signal.pause()
"""
    run = await running(stage, script, processes=24)
    if "pids" in stage.enforced:
        assert len(processes_of(run.id)) <= 24 + 6
    other = await stage.finish(a_run("print('still here')"))
    assert other.log == "still here\n"
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    await stage.ended(run.id)
    assert processes_of(run.id) == []


@pytest.mark.parametrize(
    "hog",
    [
        "held = bytearray(b'x') * (192 << 20)",
        "held = [bytearray(b'x') * (1 << 20) for _ in range(192)]",
        "fd = os.memfd_create('a'); [os.write(fd, bytes(1 << 20)) for _ in range(192)]",
        "import mmap; held = mmap.mmap(-1, 192 << 20); [held.write(bytes(1 << 20)) for _ in range(192)]",
        "[os.write(os.pipe2(os.O_NONBLOCK)[1], bytes(1 << 16)) for _ in range(4000)]",
        "pids = [os.fork() for _ in range(3)]; held = bytearray(b'x') * (48 << 20); signal.pause() if 0 in pids else 0; os.wait()",
    ],
    ids=["one block", "many blocks", "memory file", "shared memory", "pipes", "many processes"],
)
async def test_a_memory_hog_ends_itself_alone(stage: Stage, hog: str) -> None:
    run = a_run(f"{hog}\nprint('had it all', flush=True)", memory_bytes=48 << 20, disk_bytes=4 << 20)
    finished = await stage.finish(run)
    assert finished.exit.failure == ""
    if "memory" in stage.enforced:
        assert finished.exit.out_of_memory or finished.exit.code != 0
    assert processes_of(run.id) == []
    assert (await stage.finish(a_run("print('still here')"))).log == "still here\n"


async def test_a_flood_of_the_log_is_dropped_and_slows_nobody(stage: Stage) -> None:
    script = """
block = b"y" * (1 << 16)
for _ in range(1000):
    os.write(1, block)
Path("/data/outputs/done").touch()
"""
    run = a_run(script, log_bytes=1 << 16)
    finished = await stage.finish(run)
    assert "done" in finished.outputs
    assert len(finished.log) <= (1 << 16) + 100
    assert finished.log.rstrip("\n").endswith("]")


async def test_a_flood_without_end_is_ended(stage: Stage) -> None:
    run = await running(stage, "tell()\nwhile True: os.write(1 + os.getpid() % 2, bytes(1 << 16))", log_bytes=4096)
    await stage.engine.cancel(run.id)
    seen = await stage.ended(run.id)
    assert (seen.code, seen.ended_by) == (143, "stopped")
    assert len(await stage.log(run.id)) < 5000


async def test_a_daemon_that_floods_does_not_keep_the_log_open(stage: Stage) -> None:
    script = """
def flood():
    while True:
        os.write(1, b"z" * 4096)
for _ in range(3):
    daemon(flood)
"""
    run = a_run(script, log_bytes=4096)
    finished = await stage.finish(run)
    assert len(finished.log) < 5000
    assert processes_of(run.id) == []


async def test_what_can_be_opened_and_asked_for_is_bounded(stage: Stage) -> None:
    script = """
import resource
found = {}
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try:
    found["more files"] = resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
except ValueError:
    found["more files"] = "refused"
found["cores"] = resource.getrlimit(resource.RLIMIT_CORE)
found["nice"] = attempt(os.setpriority, os.PRIO_PROCESS, 0, -10)
found["real time"] = attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
found["score"] = write("/proc/self/oom_score_adj", "-1000") in ("EROFS", "EACCES")
found["locked"] = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] < 1 << 30
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as problem:
    found["files"] = len(held) < 10_000
say(found)
"""
    assert await stage.said(script) == {
        "more files": "refused",
        "cores": [0, 0],
        "nice": "EACCES",
        "real time": "EPERM",
        "score": True,
        "locked": True,
        "files": True,
    }


# ------------------------------------------------------------------------------------------------ the kernel


@needs_a_known_machine
async def test_system_calls_that_reach_around_the_sandbox_are_refused(stage: Stage) -> None:
    """Each with arguments of which many would pass without the filter (a keyring, a ring, a namespace, a probe)."""
    numbers = {name: numbers[MACHINE or 0] for name, numbers in CALLS.items() if numbers[MACHINE or 0] is not None}
    script = f"""
numbers = {numbers!r}
words = {{
    "add_key": (b"user", b"cove", b"x", 1, -2), "keyctl": (0, -3, 1), "request_key": (b"user", b"cove", None, -2),
    "bpf": (0, ctypes.create_string_buffer(64), 64), "io_uring_setup": (4, ctypes.create_string_buffer(128)),
    "unshare": (0x10000000,), "userfaultfd": (1,), "name_to_handle_at": (-100, b"/data", *[ctypes.create_string_buffer(b"\\x80" + bytes(200))] * 2, 0),
    "ptrace": (0, 0, 0, 0), "mount": (b"none", b"/tmp", b"tmpfs", 0, None), "open_tree": (-100, b"/tmp", 1),
    "kcmp": (os.getpid(), os.getpid(), 0, 0, 1), "chroot": (b"/tmp",), "fsopen": (b"tmpfs", 0),
    "clock_settime": (0, struct.pack("qq", int(__import__("time").time()), 0)), "syslog": (10, None, 0),
    "perf_event_open": (struct.pack("IIQ", 1, 128, 0) + bytes(112), 0, -1, -1, 0),
    "process_vm_readv": (os.getpid(), ctypes.create_string_buffer(16), 0, ctypes.create_string_buffer(16), 0, 0),
    "adjtimex": (ctypes.create_string_buffer(256),), "clock_adjtime": (0, ctypes.create_string_buffer(256)),
    "pidfd_getfd": (os.pidfd_open(os.getpid()), 1, 0), "setns": (os.open("/proc/self/ns/user", 0), 0),
}}
say({{name: call(number, *words.get(name, (0, 0, 0, 0, 0))) for name, number in numbers.items()}})
"""
    found = await stage.said(script)
    assert set(found) == set(numbers)
    assert {name: error for name, error in found.items() if error != "EPERM"} == {}


@needs_a_known_machine
async def test_new_namespaces_and_personalities_are_refused_by_every_call(stage: Stage) -> None:
    kinds = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x20000, "pid": 0x20000000, "ipc": 0x8000000,
             "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}  # fmt: skip
    script = f"""
found = {{f"clone {{kind}}": call({number_of("clone")}, flag | 17, 0, 0, 0, 0) for kind, flag in {kinds!r}.items() if kind != "time"}}
found |= {{f"unshare {{kind}}": call({number_of("unshare")}, flag) for kind, flag in {kinds!r}.items()}}
found["personality"] = call({number_of("personality")}, 0x0040000)
found["personality 2"] = call({number_of("personality")}, 0x0008)
found["clone3"] = call({number_of("clone3")}, struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64)
found["map"] = write("/proc/self/uid_map", "0 1000 1")
found["program"] = "done" if subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode == 0 else ""
say(found)
"""
    found = await stage.said(script)
    assert (found.pop("clone3"), found.pop("program")) == ("ENOSYS", "")
    assert found.pop("map") in {"EPERM", "EROFS"}
    assert set(found.values()) == {"EPERM"}, found


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only an x86_64 has other ways to call: run it there")
@pytest.mark.parametrize(
    "code",
    ["b8fa000040 0f05 c3", "b820010000 cd80 c3", "b814000000 cd80 c3"],
    ids=["keyctl as x32", "keyctl as i386", "getpid as i386"],
)
async def test_other_ways_to_call_the_kernel_end_the_caller(stage: Stage, code: str) -> None:
    script = f"""
import mmap
code = bytes.fromhex({code!r})
page = mmap.mmap(-1, 4096, prot=7)
page.write(code)
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print("done", flush=True)
os._exit(0)
"""
    finished = await stage.finish(a_run(script))
    assert finished.exit.code in {128 + 31, 128 + 11}
    assert "done" not in finished.log


@needs_a_known_machine
async def test_keys_cannot_be_pushed_into_a_terminal(stage: Stage) -> None:
    script = f"""
import fcntl, pty, termios
reading, saying = os.pipe()
if os.fork() == 0:
    os.setsid()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    found = [attempt(os.open, "/dev/tty", os.O_RDWR)]
    found += [attempt(fcntl.ioctl, slave, request, b"x") for request in (0x5412, 0x541C)]
    found += [call({number_of("ioctl")}, slave, request | 1 << 32, b"x") for request in (0x5412, 0x541C)]
    os.write(saying, json.dumps(found).encode())
    os._exit(0)
say([attempt(os.open, "/dev/tty", os.O_RDWR), json.loads(os.read(reading, 1000))])
"""
    outer, inner = await stage.said(script)
    assert outer in {"ENXIO", "ENODEV", "ENOENT"}
    assert inner[1:] == ["EPERM"] * 4


async def test_there_are_no_rights_to_gain(stage: Stage) -> None:
    script = """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
found = {name: int(status[name], 16) for name in status if name.startswith("Cap")}
found |= {name: int(status[name]) for name in ("NoNewPrivs", "Seccomp")}
acts = dict(uid=lambda: os.setuid(0), gid=lambda: os.setgid(0), groups=lambda: os.setgroups([0]),
            all=lambda: os.setresuid(0, 0, 0), other=lambda: os.setuid(65534), own=lambda: os.chown("/tmp", 0, 0))
found["acts"] = {name: attempt(act) for name, act in acts.items()}
found["undo"] = libc.prctl(38, 0, 0, 0, 0)
found["ambient"] = libc.prctl(47, 2, 13, 0, 0)
say(found)
"""
    found = await stage.said(script)
    assert "done" not in found.pop("acts").values()
    assert (found.pop("NoNewPrivs"), found.pop("Seccomp")) == (1, 2)
    assert (found.pop("undo"), found.pop("ambient")) == (-1, -1)
    assert set(found) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert set(found.values()) == {0}


async def test_setuid_programs_gain_nothing(stage: Stage, tmp_path: Path) -> None:
    """One that belongs to root where the service is root, one of the job's own, and one with a capability."""
    armed, capable = tmp_path / "armed", tmp_path / "capable"
    shutil.copy("/usr/bin/id", armed)
    armed.chmod(0o6755)
    shutil.copy(shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable, capable)
    capable.chmod(0o755)
    with contextlib.suppress(PermissionError):  # root alone may: cap_net_raw, effective and permitted
        os.setxattr(capable, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    script = """
import shutil
shutil.copy("/usr/bin/id", "/tmp/own")
os.chmod("/tmp/own", 0o6755)
def ask(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    except OSError:  # this image has not what the program needs, or the run may never have its capabilities
        return ""
raw = "import socket; socket.socket(2, 3, 1); print('raw')"
say([[ask(program, flag) for flag in ("-u", "-ru", "-g")] for program in ("/data/inputs/a/0", "/tmp/own")]
    + [ask("/data/inputs/a/1", "-c", raw)])
"""
    found = await stage.said(script, Bind(str(armed), "/data/inputs/a/0"), Bind(str(capable), "/data/inputs/a/1"))
    user = found[0][0]
    assert user != "0"
    assert user != str(os.getuid()) or os.getuid() == 1000  # the run looks like 1000, whoever it is
    assert found == [[user] * 3, [user] * 3, ""]


async def test_nothing_of_proc_that_belongs_to_the_system_can_be_written(stage: Stage) -> None:
    """Every file is opened for writing, not written: where one opens, the sandbox is open."""
    script = """
found = []
for top, below, names in os.walk("/proc"):
    below[:] = [name for name in below if not (top == "/proc" and (name.isdigit() or name in ("self", "thread-self")))]
    for name in names:
        place = f"{top}/{name}"
        covered = os.path.exists(place) and os.path.samestat(os.stat(place), os.stat("/dev/null"))
        if not covered and attempt(lambda: os.close(os.open(place, os.O_WRONLY | os.O_NONBLOCK))) == "done":
            found.append(f"{top}/{name}")
count = sum(len(names) for _, _, names in os.walk("/proc/sys"))
say([found, count, write("/proc/sys/kernel/core_pattern", "|/tmp/x"), write("/proc/sysrq-trigger", "h")])
"""
    found, count, pattern, trigger = await stage.said(script)
    assert set(found) <= stage.traits.open_in_proc
    assert count > 100
    assert pattern in {"EROFS", "EACCES", "EPERM"}
    assert trigger in {"EROFS", "EACCES", "EPERM", "ENOENT"}


async def test_the_clock_stays(stage: Stage) -> None:
    before = time.time() - time.monotonic()
    script = """
import time
tried = [subprocess.run(["date", "-s", "2001-01-01"], capture_output=True).returncode != 0]
try:
    time.clock_settime(time.CLOCK_REALTIME, 1e9)
    tried.append(False)
except OSError:
    tried.append(True)
say(tried)
"""
    assert await stage.said(script) == [True, True]
    assert abs(time.time() - time.monotonic() - before) < 60


# ------------------------------------------------------------------------------------------------ what is told of it


async def test_the_log_cannot_be_rewritten(stage: Stage) -> None:
    script = """
print("before", flush=True)
for place in ("/proc/self/fd/1", "/proc/1/fd/1", "/dev/stdout"):
    attempt(lambda: os.close(os.open(place, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)))
    attempt(os.truncate, place, 0)
attempt(os.ftruncate, 1, 0)
attempt(os.lseek, 1, 0, os.SEEK_SET)
import fcntl
attempt(fcntl.fcntl, 1, fcntl.F_SETFL, os.O_NONBLOCK)
attempt(fcntl.fcntl, 1, 1031, 1 << 12)
print("after", flush=True)
"""
    assert (await stage.finish(a_run(script))).log == "before\nafter\n"


async def test_the_first_process_of_the_sandbox_holds_nothing_of_ours(stage: Stage) -> None:
    script = """
found = {}
for pid in ("1", "self"):
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[f"{pid} {name}"] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
say(found)
"""
    found: dict[str, str] = await stage.said(script)
    out = found["self 1"]
    held = {name: place for name, place in found.items() if place not in {"/dev/null", out, "anon_inode:[eventfd]"}}
    if stage.traits.first_process_is_bare:
        assert held == {}
    known = stage.traits.own_places
    assert all(
        name.startswith("1 ") and (place.startswith(("pipe:", "anon_inode:")) or place in known)
        for name, place in held.items()
    ), held


TAKE_OVER = """
def take_over(code):
    for line in open("/proc/1/maps").read().splitlines():
        span, rights = line.split()[:2]
        first, last = (int(word, 16) for word in span.split("-"))
        if rights.startswith("r-x") and "vdso" not in line and "vsyscall" not in line:
            with open("/proc/1/mem", "r+b", 0) as memory:
                memory.seek(first)
                memory.write(b"\\x90" * (last - first - len(code)) + code)
# Do not die with the parent, do not tell of the end.
attempt(take_over, bytes.fromhex("b89d000000 bf01000000 31f6 0f05 ebfe"))
"""
"""Overwrites the sandbox's first process, where that can be done; the code is for x86_64 and harms no other."""


async def test_the_memory_of_other_processes_cannot_be_written(stage: Stage) -> None:
    script = """
child = os.fork()
if child == 0:
    signal.pause()
say([attempt(lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))) for pid in (1, child)])
"""
    # Where it can be done, none of these processes is the engine's.
    allowed = {"EROFS", "EACCES", "EPERM"} | (set() if stage.traits.memory_is_closed else {"done"})
    assert set(await stage.said(script)) <= allowed


async def test_a_run_that_takes_over_the_first_process_ends_all_the_same(stage: Stage) -> None:
    stubborn = """
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
"""
    run = await running(stage, f"{stubborn}{TAKE_OVER}tell()")
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    await stage.ended(run.id)
    assert processes_of(run.id) == []


async def test_a_run_that_took_over_the_first_process_can_be_removed(stage: Stage) -> None:
    run = await running(stage, f"{TAKE_OVER}daemon(lambda: None)\ntell(); wait()")
    await stage.engine.remove(run.id)
    assert traces_of(run.id) == []


@pytest.mark.parametrize("value", ["a\0--bind\0/\0/host", "\0", "\ud800"])
async def test_characters_that_would_end_an_option_are_refused(stage: Stage, value: str) -> None:
    for changes in ({"environment": (("MINE", value),)}, {"entrypoint": f"ls {value} /host"}):
        finished = await stage.finish(a_run("pass", **changes))
        assert finished.exit.failure in {"sandbox", ""}
        assert finished.exit.code != 0
        assert finished.outputs == {}


async def test_one_that_stops_itself_is_ended(stage: Stage) -> None:
    script = """
main = os.getpid()
if os.fork() == 0:
    while Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        pass
    tell()
    signal.pause()
os.kill(main, signal.SIGSTOP)
"""
    run = await running(stage, script)
    await stage.engine.cancel(run.id, grace_seconds=0.1)
    seen = await stage.ended(run.id)
    assert (seen.code, seen.ended_by) == (137, "stopped")


async def test_what_a_daemon_writes_late_is_not_part_of_the_outputs(stage: Stage) -> None:
    script = """
Path("/data/outputs/a").write_text("true")
def forge():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        with open("/data/outputs/late", "a") as file:
            file.write("x")
daemon(forge)
"""
    run = a_run(script)
    await stage.finish(run)
    assert processes_of(run.id) == []
    places = await stage.engine.collect(run.id)
    first = {place.name: place.read_bytes() for place in places.outputs.iterdir()}
    await stage.finish(a_run("pass"))
    assert {place.name: place.read_bytes() for place in places.outputs.iterdir()} == first
    assert first["a"] == b"true"
