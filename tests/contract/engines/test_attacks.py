"""Attacks of an algorithm on the network, on this host and on other runs: each is tried for real, and fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.support.calls import needs_a_known_machine, number_of
from tests.support.runs import Stage, a_run, processes_of

from cove.core.job import Bind
from cove.core.lifecycle import Active

LISTENING = "127.0.0.1"


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
    victim = await stage.started(
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
    victim = await stage.started("tell(); wait()")
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
    victim = await stage.started("tell(); wait()")
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
