"""What an algorithm finds inside: ``container.md`` row by row, seen from inside and from outside."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.runs import (
    ALGORITHM,
    PATIENCE,
    Stage,
    a_run,
    host_uid,
    is_folder_empty,
    mode_of,
    processes_of,
)

from cove.core.job import Bind, Container

SECRET = "what-the-service-alone-knows"
DATASET = "/data/inputs/" + "ab" * 32
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OURS = {
    "VOLUME": "/data",
    "BASE_DIR": "/data",
    "INPUTS": "/data/inputs",
    "OUTPUTS": "/data/outputs",
    "LOGS": "/data/logs",
    "HOME": "/home/job",
    "TMPDIR": "/tmp",  # noqa: S108 - inside
    "LANG": "C.UTF-8",
}


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[Bind, ...]:
    """Everything that a job reads, as provisioning lays it."""
    private = tmp_path / "private.csv"
    private.write_bytes(b"name,value\n")
    private.chmod(0o600)
    return (
        Bind(str(private), f"{DATASET}/0"),
        Bind("", f"{DATASET}/1", b"\0\xff" * 5000),
        Bind("", "/data/inputs/algoCustomData.json", b"{}"),
        Bind("", f"/data/ddos/{'ab' * 32}", '{"a": "ü"}'.encode()),
        Bind("", "/data/transformations/1", b"beside"),
    )


@pytest.fixture
def secret_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the service, there before its engine starts."""
    monkeypatch.setenv("COVE_TEST_SECRET", SECRET)


# ------------------------------------------------------------------------------------------------ files


async def test_everything_lies_at_its_place_and_nothing_beside_it(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    found = await stage.said(
        "say(sorted(str(place) for place in Path('/data').rglob('*') if not place.is_dir()))", *dataset
    )
    assert found == sorted([ALGORITHM, *(bind.target for bind in dataset)])


async def test_files_are_found_byte_for_byte(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    script = f"""
from hashlib import sha256
for place in [{", ".join(repr(bind.target) for bind in dataset)}]:
    os.makedirs("/data/outputs" + os.path.dirname(place), exist_ok=True)
    Path("/data/outputs" + place).write_bytes(Path(place).read_bytes())
"""
    finished = await stage.finish(a_run(script, *dataset))
    assert finished.outputs == {bind.target[1:]: content_of(bind) for bind in dataset}


def content_of(bind: Bind) -> bytes:
    return Path(bind.source).read_bytes() if bind.content is None else bind.content


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\nexit 0\n", bytes(range(256)) * 1000])
async def test_the_algorithm_is_byte_for_byte_executable_and_read_only(stage: Stage, content: bytes) -> None:
    script = "cp $ALGO /data/outputs/copy; stat -c %a $ALGO; test -x $ALGO; echo $?; echo >> $ALGO"
    finished = await stage.finish(a_run(content, entrypoint=script))
    assert finished.outputs == {"copy": content}
    assert finished.log.splitlines()[:2] == ["755", "0"]
    assert finished.exit.code != 0
    assert "cannot create" in finished.log or "can't create" in finished.log


async def test_what_the_services_user_alone_may_read_can_be_read(stage: Stage, tmp_path: Path) -> None:
    """The owner of the data need not open it to others, neither a file nor the folder that it lies in."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    (folder / "inner").write_text("in a folder")
    (folder / "alone").write_text("alone")
    for name in ("inner", "alone"):
        (folder / name).chmod(0o600)
    run = a_run(
        f"say([Path('{DATASET}/0').read_text(), Path('{DATASET}/1/inner').read_text(), write('{DATASET}/0')])",
        Bind(str(folder / "alone"), f"{DATASET}/0"),
        Bind(str(folder), f"{DATASET}/1"),
    )
    finished = await stage.finish(run)
    if finished.exit.failure == "sandbox" and "chmod o+r" in finished.exit.detail:
        pytest.skip("this file system cannot map ids: run pytest with --basetemp on ext4, xfs, btrfs or tmpfs")
    assert finished.said == ["alone", "in a folder", "EROFS"]
    assert (mode_of(folder), mode_of(folder / "alone")) == (0o700, 0o600)


# ------------------------------------------------------------------------------------------------ environment


async def test_the_environment_is_what_is_promised_and_nothing_else(secret_environment: None, stage: Stage) -> None:
    mine = {"MINE": "ü = 'a' \"b\"\n$HOME", "DIDS": '["a"]', "TRANSFORMATION_DID": "b", "empty": ""}
    found: dict[str, str] = await stage.said("say(dict(os.environ))", environment=tuple(mine.items()))
    assert found.pop("secret") == found.pop("SECRET")
    assert found.pop("PWD", stage.traits.working_directory) == stage.traits.working_directory
    assert found.pop("PATH").startswith(PATH)
    assert found == OURS | mine


async def test_a_variable_of_the_consumers_never_replaces_one_of_ours(stage: Stage) -> None:
    evil = dict.fromkeys([*OURS, "PATH", "secret", "SECRET"], "/evil")
    found: dict[str, str] = await stage.said("say(dict(os.environ))", environment=tuple(evil.items()))
    assert "/evil" not in found.values()
    assert {name: found[name] for name in OURS} == OURS


async def test_every_run_has_a_secret_of_its_own(stage: Stage) -> None:
    found = [await stage.said("say(os.environ['SECRET'])") for _ in range(3)]
    assert len(set(found)) == 3
    assert all(len(bytes.fromhex(secret)) >= 16 for secret in found)


async def test_nothing_of_the_services_environment_is_there(secret_environment: None, stage: Stage) -> None:
    """Not in the environment of the sandbox's first process either, where an outer program's would be seen."""
    script = f"""
found = {{}}
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "mountinfo", "cgroup"):
        text = Path("/proc", pid, name).read_bytes()
        found[f"{{pid}} {{name}}"] = [word in text for word in (b"what-the-service", b"{stage.folder}", b"COVE_TEST")]
found["first"] = Path("/proc/1/environ").read_text()
say(found)
"""
    found = await stage.said(script)
    assert found.pop("first") == "" or not stage.traits.first_process_is_bare
    assert len(found) >= 8
    mounts = () if stage.traits.mounts_tell_nothing else ("mountinfo",)
    assert not [place for place, seen in found.items() if any(seen) and not place.endswith(mounts)]


async def test_the_name_of_the_run_is_nowhere_inside(stage: Stage) -> None:
    """A job's id is told to its owner alone."""
    script = """
found = {}
for name in ("environ", "cmdline", "mountinfo", "cgroup", "status"):
    for pid in ("1", "self"):
        found[f"{pid} {name}"] = Path("/proc", pid, name).read_text()
found["host"] = socket.gethostname()
say(found)
"""
    run = a_run(script, entrypoint="python3 $ALGO")
    found = (await stage.finish(run)).said
    assert not [place for place, text in found.items() if run.id[:32] in text]


# ------------------------------------------------------------------------------------------------ entrypoint

ECHO = b"import sys\nprint(repr(sys.argv[1:]))\n"


@pytest.mark.parametrize(
    ("entrypoint", "arguments"),
    [
        ("python3 $ALGO", []),
        ("  python3   $ALGO  ", []),
        ("python3 -u $ALGO a b", ["a", "b"]),
        ("python3 $ALGO 'two words' \"it's\" back\\ slash ''", ["two words", "it's", "back slash", ""]),
        ("python3 $ALGO --one=$ALGO '$ALGO' \"x $ALGO y\"", [f"--one={ALGORITHM}", ALGORITHM, f"x {ALGORITHM} y"]),
        ("python3 $ALGO -- {a} [b] a=b %d ü !", ["--", "{a}", "[b]", "a=b", "%d", "ü", "!"]),
        ("cat $ALGO | python3 - a", ["a"]),
        ("cd /tmp && python3 $ALGO $ALGO", [ALGORITHM]),
        ("python3 $ALGO /data/transform*/algo*; true", [ALGORITHM]),
        ("python3 $ALGO $OUTPUTS \"$HOME\" '$HOME'", ["/data/outputs", "/home/job", "$HOME"]),
        ("python3 $ALGO `echo a` $(echo b) # c", ["a", "b"]),
        ("sh -c 'python3 $ALGO a; exit 0'", ["a"]),
    ],
)
async def test_the_entrypoint_is_split_as_a_shell_does(stage: Stage, entrypoint: str, arguments: list[str]) -> None:
    finished = await stage.finish(a_run(ECHO, entrypoint=entrypoint))
    assert (finished.exit.code, finished.log) == (0, f"{arguments!r}\n")


async def test_a_shell_is_there_only_when_it_is_needed(stage: Stage) -> None:
    parent = b"import os\nprint(open(f'/proc/{os.getppid()}/comm').read().strip(), os.getpid())\n"
    alone = (await stage.finish(a_run(parent, entrypoint="python3 $ALGO"))).log.split()
    by_shell = (await stage.finish(a_run(parent, entrypoint="python3 $ALGO; true"))).log.split()
    assert (alone[0] == by_shell[0], by_shell[0]) == (False, "sh")


@pytest.mark.parametrize("entrypoint", ["python3 $ALGO 'no end", 'python3 $ALGO "', "python3 $ALGO \\"])
async def test_quotes_without_an_end_fail_as_in_a_shell(stage: Stage, entrypoint: str) -> None:
    seen = (await stage.finish(a_run(ECHO, entrypoint=entrypoint))).exit
    assert seen.failure == ""


async def test_an_empty_entrypoint_is_the_images_own(stage: Stage) -> None:
    finished = await stage.finish(a_run(b"echo by sh: $0", entrypoint=""))
    assert finished.log == f"by sh: {ALGORITHM}\n"


async def test_an_algorithm_may_be_a_program_itself(stage: Stage) -> None:
    finished = await stage.finish(a_run(b"#!/usr/bin/env python3\nprint('I am')\n", entrypoint="$ALGO"))
    assert finished.log == "I am\n"


async def test_the_main_process_has_a_clean_start(stage: Stage) -> None:
    """No descriptor of ours, no blocked or ignored signal, no controlling terminal."""
    status = (await stage.finish(a_run(entrypoint="cat /proc/self/status"))).log
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    # Signals 32 and 33 are the C library's own: no program can set them back that was started with them ignored.
    ignored = int(facts["SigIgn"], 16) & ~(0b11 << 31)
    blocked = int(facts["SigBlk"], 16) & ~stage.traits.blocked_signals
    assert (facts["Umask"], blocked, ignored) == ("0022", 0, 0)
    listed = (await stage.finish(a_run(entrypoint="ls -o /proc/self/fd"))).log.splitlines()
    places = dict(line.split()[-3::2] for line in listed if "->" in line)
    assert sorted(places) == ["0", "1", "2", "3"]  # the last is what ls itself lists
    assert places["0"] == "/dev/null"
    assert places["1"] == places["2"]
    assert await stage.said("say(stat.S_ISFIFO(os.fstat(1).st_mode))")
    terminal = await stage.said("say([attempt(os.open, '/dev/tty', os.O_RDWR), os.isatty(1)])")
    assert terminal == ["ENXIO", False]


# ------------------------------------------------------------------------------------------------ user, folders, rights


async def test_the_user_has_a_name_and_a_home(stage: Stage) -> None:
    script = """
import grp, pwd
user = pwd.getpwuid(os.getuid())
say([os.getresuid(), os.getresgid(), os.getgroups(), user.pw_name, user.pw_dir, grp.getgrgid(os.getgid()).gr_name,
     os.path.expanduser("~"), os.stat(os.environ["HOME"]).st_uid])
"""
    found = await stage.said(script)
    user = found[0][0]
    assert user != 0
    assert user == (stage.traits.user or user)
    assert found == [
        [user] * 3,
        [user] * 3,
        found[2],
        "job",
        "/home/job",
        "job",
        "/home/job",
        user if stage.traits.owns_home else found[7],
    ]
    assert set(found[2]) <= {user, 65534}


async def test_outside_it_is_a_user_that_owns_nothing(stage: Stage) -> None:
    runs = [a_run("tell(); wait()", *stage.channel.binds) for _ in range(2)]
    for run in runs:
        await stage.begin(run)
    found = [{host_uid(pid) for pid in processes_of(run.id)} for run in runs]
    assert [len(uids) for uids in found] == [1, 1]
    if os.getuid() == 0:
        assert 0 not in found[0] | found[1]
        assert found[0] != found[1]
    else:
        assert found[0] == found[1] == {os.getuid()}


async def test_the_working_directory_is_writable_and_thrown_away(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    where = stage.traits.working_directory
    script = f"""
Path("saved.txt").write_text("beside")
os.mkdir("results")
say([os.getcwd(), os.getenv("PWD", os.getcwd()), Path("{where}/saved.txt").read_text(),
     Path("{DATASET[1:]}/0").read_text(), sorted(os.listdir("data/inputs"))])
"""
    finished = await stage.finish(a_run(script, *dataset))
    listed = [DATASET.rpartition("/")[2], "algoCustomData.json"]
    assert finished.said == [where, where, "beside", "name,value\n", listed]
    assert (finished.outputs, finished.logs) == ({}, {})
    assert await stage.said("say(os.path.exists('saved.txt'))") is False


async def test_what_is_read_only_cannot_be_changed(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    places = [ALGORITHM, *(bind.target for bind in dataset)]
    script = f"""
found = {{}}
for place in {places!r}:
    acts = dict(
        append=lambda: open(place, "ab"), change=lambda: open(place, "r+b"), truncate=lambda: os.truncate(place, 0),
        remove=lambda: os.unlink(place), rename=lambda: os.rename(place, place + ".x"),
        open_up=lambda: os.chmod(place, 0o777), own=lambda: os.chown(place, 1000, 1000), touch=lambda: os.utime(place),
        replace=lambda: os.rename("/data/outputs/mine", place), mark=lambda: os.setxattr(place, "user.a", b"b"),
    )
    Path("/data/outputs/mine").touch()
    found |= {{f"{{name}} {{place}}": attempt(act) for name, act in acts.items()}}
say(found)
"""
    found: dict[str, str] = await stage.said(script, *dataset)
    assert len(found) == 10 * len(places)
    allowed = {"EROFS", "EXDEV", "EPERM", "EACCES", "EBUSY"}
    assert {act: error for act, error in found.items() if error not in allowed} == {}
    assert [content_of(bind) for bind in dataset if bind.content is None] == [b"name,value\n"]


async def test_nothing_else_can_be_made_in_data(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    folders = ["/data", "/data/inputs", DATASET, "/data/ddos", "/data/transformations"]
    script = f"""
found = {{}}
for folder in {folders!r}:
    new = folder + "/new"
    acts = [lambda: Path(new).touch(), lambda: os.mkdir(new), lambda: os.symlink("/etc", new), lambda: os.mkfifo(new),
            lambda: os.rename("/data/outputs", new), lambda: os.rmdir(folder), lambda: os.chmod(folder, 0o777)]
    found[folder] = [attempt(act) for act in acts]
found["outputs"] = [attempt(os.rename, "/data/outputs", "/data/logs/x"), attempt(os.rmdir, "/data/outputs"),
                    attempt(os.rename, "/data/logs", "/data/outputs/x")]
say(found)
"""
    found: dict[str, list[str]] = await stage.said(script, *dataset)
    assert "done" not in [error for errors in found.values() for error in errors], found


async def test_there_is_room_where_it_was_promised(stage: Stage) -> None:
    script = """
import tempfile
places = ["/data/outputs", "/data/logs", os.environ["HOME"], os.environ["TMPDIR"], tempfile.gettempdir(), "/dev/shm", "."]
for place in places:
    os.makedirs(f"{place}/a/b", exist_ok=True)
    Path(place, "a/b/c").write_text("x")
    Path(place, "a/b/c").rename(Path(place, "moved"))
from multiprocessing import Lock, Queue
Lock(), Queue()
open("/dev/null", "w").write("x"), open("/dev/urandom", "rb").read(1), open("/dev/zero", "rb").read(1)
say("all")
"""
    assert await stage.said(script) == "all"


async def test_no_link_keeps_an_input_alive(stage: Stage, dataset: tuple[Bind, ...]) -> None:
    script = f"""
found = []
for place in {[f"{DATASET}/0", f"{DATASET}/1", ALGORITHM]!r}:
    held = os.open(place, os.O_RDONLY)
    new = lambda: f"/data/outputs/{{len(found)}}"
    found.append(attempt(os.link, place, new()))
    found.append(attempt(os.rename, place, new()))
    found.append(attempt(os.link, f"/proc/self/fd/{{held}}", new(), follow_symlinks=True))
    found.append(call(265, -100, place.encode(), -100, new().encode(), 0x400))
    found.append(call(265, held, b"", -100, new().encode(), 0x1000))
say(found)
"""
    finished = await stage.finish(a_run(script, *dataset))
    assert set(finished.said) <= {"EXDEV", "EROFS", "EPERM", "ENOENT"}
    assert finished.outputs == {}


# ------------------------------------------------------------------------------------------------ input and output


async def test_standard_input_is_empty(stage: Stage) -> None:
    assert await stage.said("say([os.readlink('/proc/self/fd/0'), sys.stdin.read()])") == ["/dev/null", ""]


async def test_both_outputs_come_in_the_order_in_which_they_were_written(stage: Stage) -> None:
    script = "for n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"
    assert (await stage.finish(a_run(script))).log == "".join(f"{n}\n" for n in range(500))


async def test_the_log_is_byte_for_byte(stage: Stage) -> None:
    run = a_run("os.write(1, bytes(range(256)) * 100)")
    await stage.finish(run)
    assert await stage.engine.logs(run.id, 0, 1 << 20) == bytes(range(256)) * 100


async def test_the_log_ends_with_the_main_process_whatever_holds_it_open(stage: Stage) -> None:
    script = """
def stay():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()
daemon(stay)
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("last words", flush=True)
os._exit(3)
"""
    run = a_run(script, *stage.channel.binds)
    finished = await stage.finish(run)
    assert (finished.exit.code, finished.log) == (3, "last words\n")
    assert finished.exit.finished_at - (finished.exit.started_at or 0) < PATIENCE
    assert processes_of(run.id) == []


async def test_files_of_the_logs_folder_come_back_beside_the_captured_log(stage: Stage) -> None:
    script = """
for name in ("algorithm.log", "deep/down.log", "log", "mine.txt"):
    Path("/data/logs", name).parent.mkdir(exist_ok=True)
    Path("/data/logs", name).write_text("forged")
os.symlink("/etc/passwd", "/data/logs/link")
print("true")
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert finished.log == "true\n"
    assert (await stage.engine.collect(run.id)).log.read_text() == "true\n"
    assert finished.logs == dict.fromkeys(["algorithm.log", "deep/down.log", "log", "mine.txt"], b"forged")
    assert finished.outputs == {}


# ------------------------------------------------------------------------------------------------ end and results


@pytest.mark.parametrize("number", [1, 2, 6, 9, 11, 13, 15])
async def test_a_signal_is_told_as_a_shell_tells_it(stage: Stage, number: int) -> None:
    script = f"signal.signal({number}, signal.SIG_DFL) if {number} != 9 else None; os.kill(os.getpid(), {number})"
    seen = (await stage.finish(a_run(script))).exit
    assert (seen.code, seen.ended_by, seen.failure) == (128 + number, "", "")


async def test_the_whole_tree_is_gone_when_a_run_has_exited(stage: Stage) -> None:
    script = """
for _ in range(5):
    daemon(signal.pause)
    subprocess.Popen([sys.executable, *sys.argv, "child"]) if "child" not in sys.argv else signal.pause()
tell()
wait()
"""
    run = a_run(script, *stage.channel.binds)
    await stage.begin(run)
    assert len(processes_of(run.id)) >= 7
    stage.channel.answer()
    seen = await stage.ended(run.id)
    assert (processes_of(run.id), seen.code) == ([], 0)


async def test_regular_files_are_collected_with_their_folders(stage: Stage) -> None:
    script = r"""
os.chdir("/data/outputs")
os.makedirs("a/b/c")
os.mkdir("empty")
for name in ("top", "a/b/c/deep", "a/.hidden", "zero", "sp ace \n", "ü"):
    Path(name).write_text(name if name != "zero" else "")
Path(os.fsdecode(b"\xff\xfe")).write_text("no unicode")
os.link("top", "a/same")
with open("sparse", "wb") as file:
    file.truncate(1 << 20)
"""
    finished = await stage.finish(a_run(script))
    names = ["top", "a/b/c/deep", "a/.hidden", "sp ace \n", "ü"]
    expected: dict[str, bytes] = {name: name.encode() for name in names}
    expected |= {"zero": b"", os.fsdecode(b"\xff\xfe"): b"no unicode", "a/same": b"top", "sparse": bytes(1 << 20)}
    assert finished.outputs == expected


async def test_what_is_no_regular_file_is_left_behind(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
Path("plain").write_text("kept")
for number, target in enumerate(["/etc/passwd", "plain", "nowhere", "/data/inputs", "..", "/proc/1/environ"]):
    os.symlink(target, f"link{number}")
os.mkfifo("fifo")
server = socket.socket(socket.AF_UNIX)
server.bind("socket")
devices = [attempt(os.mknod, f"device{kind}", kind | 0o666, os.makedev(1, 3)) for kind in (stat.S_IFCHR, stat.S_IFBLK)]
os.mkdir("folder")
os.symlink("../plain", "folder/link")
Path("folder/plain").write_text("kept")
say(devices)
"""
    finished = await stage.finish(a_run(script))
    assert finished.said == ["EPERM", "EPERM"]
    assert finished.outputs == {"plain": b"kept", "folder/plain": b"kept"}


async def test_modes_of_the_algorithms_choice_neither_hide_nor_arm_a_file(stage: Stage) -> None:
    script = """
os.chdir("/data/outputs")
os.mkdir("closed")
for name, mode in {"closed/none": 0, "setuid": 0o6777, "plain": 0o644}.items():
    Path(name).write_text("x")
    os.chmod(name, mode)
os.chmod("closed", 0)
"""
    run = a_run(script)
    finished = await stage.finish(run)
    assert finished.outputs == {"closed/none": b"x", "setuid": b"x", "plain": b"x"}
    outputs = (await stage.engine.collect(run.id)).outputs
    for place in [outputs, *outputs.rglob("*")]:
        assert mode_of(place) == (0o700 if place.is_dir() else 0o600)
        assert place.stat().st_uid == os.getuid()


async def test_nothing_written_leaves_nothing(stage: Stage) -> None:
    run = a_run("os.makedirs('/data/outputs/a/b')")
    finished = await stage.finish(run)
    assert (finished.outputs, finished.logs, finished.log) == ({}, {}, "")
    places = await stage.engine.collect(run.id)
    assert is_folder_empty(places.logs)


# ------------------------------------------------------------------------------------------------ limits


async def test_every_place_that_can_be_written_counts_for_the_disk(stage: Stage) -> None:
    """Fill whatever takes a byte: together it is never more than the limit."""
    script = """
block = bytes(1 << 16)
found, folders = {}, []
for top, below, _ in os.walk("/"):
    below[:] = [name for name in below if os.path.join(top, name) not in ("/proc", "/usr", "/etc/ssl")]
    folders.append(top)
for folder in sorted(folders):
    try:
        with open(f"{folder}/filler", "wb", 0) as file:
            try:
                while found.get(folder, 0) < 16 << 20:
                    found[folder] = found.get(folder, 0) + file.write(block)
            except OSError:
                pass
    except OSError:
        continue
say(found)
"""
    found: dict[str, int] = await stage.said(script, disk_bytes=4 << 20)
    assert found
    assert sum(found.values()) <= 4 << 20, found


async def test_every_file_counts(stage: Stage) -> None:
    script = """
count = 0
try:
    for folder in ("/data/outputs", "/tmp", "/dev/shm", "/home/job", "/data/logs", "/", "/etc", "/dev"):
        try:
            for _ in range(5000):
                os.symlink("x", f"{folder}/{count}")
                count += 1
        except OSError as problem:
            if problem.errno not in (errno.ENOSPC, errno.EROFS, errno.EACCES):
                raise
finally:
    say(count)
"""
    found = await stage.said(script, inodes=500)
    if "inodes" in stage.enforced:
        assert 500 <= found <= 750


async def test_processes_are_limited(stage: Stage) -> None:
    script = """
import threading
count, problem = 0, ""
hold = threading.Event()
try:
    for count in range(200):
        threading.Thread(target=hold.wait, daemon=True).start()
except RuntimeError as error:
    problem = str(error)
say([count, problem])
os._exit(0)
"""
    count, problem = (await stage.finish(a_run(script, processes=24, memory_bytes=4 << 30))).said
    if "pids" in stage.enforced:
        assert 16 <= count <= 28
        assert problem


async def test_processors_are_limited(stage: Stage) -> None:
    script = """
import time
begun, used = time.monotonic(), time.process_time()
while time.monotonic() - begun < 0.5:
    pass
say((time.process_time() - used) / (time.monotonic() - begun))
"""
    share = await stage.said(script, cpus=0.2)
    if "cpu" in stage.enforced:
        assert share < 0.5


# ------------------------------------------------------------------------------------------------ other images


@pytest.fixture
def small(stage: Stage) -> Path:
    """The folder of an image that has two programs, what they need, and no shell yet."""
    root = stage.folder / "small"
    for program in ("cat", "ls"):
        install(root, f"/bin/{program}", f"/usr/bin/{program}")
    (root / "bin").symlink_to("usr/bin")
    (root / "opt").mkdir()
    (root / "opt" / "note").write_text("of the image")
    for name in ("data", "tmp", "proc", "dev"):
        (root / name).mkdir()
        (root / name / "hidden").write_text("of the image")
    stage.load("small")
    return root


def install(root: Path, source: str, place: str) -> None:
    listed = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    for origin, target in [(source, place), *zip(libraries, libraries, strict=True)]:
        (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(origin, root / target[1:])


def in_small(entrypoint: str) -> dict[str, Any]:
    return {"container": Container("small", "1", entrypoint=entrypoint)}


async def test_an_image_shows_its_own_files_alone(stage: Stage, small: Path) -> None:
    script = secrets.token_bytes(1000)
    assert (await stage.finish(a_run(b"a\nb\n", **in_small("cat $ALGO /opt/note")))).log == "a\nb\nof the image"
    listed = (await stage.finish(a_run(script, **in_small("ls /usr/bin /data /proc/1/cmdline /tmp")))).log
    assert "python3" not in listed
    assert "hidden" not in listed
    assert (await stage.finish(a_run(script, **in_small("python3 $ALGO")))).exit.code == 127


async def test_an_image_without_a_shell_is_not_asked_for_one(stage: Stage, small: Path) -> None:
    finished = await stage.finish(a_run(b"a\n", **in_small("cat $ALGO $ALGO *")))
    assert finished.log.startswith("a\na\n")
    assert finished.exit.code == 1
    install(small, "/bin/sh", "/usr/bin/sh")
    stage.load("small")
    finished = await stage.finish(a_run(b"a\n", **in_small("cat $ALGO && cat /opt/n*")))
    assert (finished.exit.code, finished.log) == (0, "a\nof the image")
