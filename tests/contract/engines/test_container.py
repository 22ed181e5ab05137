"""What an algorithm finds inside: ``container.md`` row by row, seen from inside and from outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.runs import (
    ALGORITHM,
    Stage,
    a_run,
    host_uid,
    mode_of,
    processes_of,
)

from cove.core.job import Bind

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
