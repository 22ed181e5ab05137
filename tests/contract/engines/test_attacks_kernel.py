"""Attacks of an algorithm on the kernel: each is tried for real, and fails."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import pytest
from tests.support.calls import CALLS, MACHINE, needs_a_known_machine, number_of
from tests.support.runs import Stage, a_run

from cove.core.job import Bind


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
