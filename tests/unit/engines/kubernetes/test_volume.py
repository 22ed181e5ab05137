"""The runs' folders: laid once, decided once, and shown to nobody else."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cove.core.errors import EngineUnfit
from cove.core.job import Bind, Container, JobId, Resources, Run, run_id
from cove.engines.kubernetes.volume import Volume

RESOURCES = Resources(1.0, 1 << 20, 1 << 20, 100, 10, 60, 1 << 10)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    shell = tmp_path / "shell"
    shell.write_bytes(b"\x7fELF")
    shell.chmod(0o755)
    made = Volume(tmp_path / "runs", shell, first_uid=200_000, uids=10)
    made.start()
    return made


def a_run(*binds: Bind, environment: Sequence[tuple[str, str]] = (), entrypoint: str = "python3 $ALGO") -> Run:
    name = run_id(JobId(secrets.token_hex(16)), 1)
    return Run(name, Container("image", entrypoint=entrypoint), binds, tuple(environment), RESOURCES)


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def test_a_run_is_laid_once(volume: Volume) -> None:
    run = a_run()
    assert volume.facts(run.id) is None
    volume.lay(run)
    first = volume.facts(run.id)
    assert first is not None
    assert (first.taken, first.begun, first.record) == (False, False, None)
    volume.lay(run)
    assert volume.facts(run.id) == first
    assert volume.runs() == [run.id]
    volume.remove(run.id)
    volume.remove(run.id)
    assert (volume.facts(run.id), volume.runs()) == (None, [])


def test_the_folders_name_tells_nothing_and_can_only_be_passed_through(volume: Volume) -> None:
    run = a_run()
    volume.lay(run)
    assert run.id[:32] not in str(volume.place(run.id))
    assert mode(volume.root) == mode(volume.place(run.id)) == 0o711


def test_inputs_can_be_read_by_the_runs_user_and_originals_stay_as_they_are(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("closed")
    (tmp_path / "closed").chmod(0o600)
    (tmp_path / "open").write_text("open")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "folder" / "inner").write_text("inner")
    (tmp_path / "folder" / "link").symlink_to("/etc/passwd")
    run = a_run(
        *(Bind(str(tmp_path / name), f"/data/inputs/d/{n}") for n, name in enumerate(("closed", "open", "folder"))),
        Bind("", "/data/transformations/algorithm", b"pass"),
    )
    volume.lay(run)
    data = volume.place(run.id) / "data"
    assert [(data / f"inputs/d/{n}").read_text() for n in (0, 1)] == ["closed", "open"]
    assert (data / "inputs/d/2/inner").read_text() == "inner"
    assert (data / "inputs/d/2/link").readlink() == Path("/etc/passwd")
    assert (mode(data / "inputs/d/0"), mode(tmp_path / "closed")) == (0o644, 0o600)
    assert (data / "inputs/d/1").samefile(tmp_path / "open")
    assert mode(data / "transformations/algorithm") == 0o755


def test_what_cannot_be_brought_is_refused_and_leaves_nothing(volume: Volume, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(EngineUnfit):
        volume.lay(a_run(Bind(str(tmp_path / "pipe"), "/data/inputs/0")))
    assert list(volume.root.iterdir()) == []


def test_either_the_keeper_begins_a_run_or_the_service_gives_it_up(volume: Volume) -> None:
    begun, given_up = a_run(), a_run()
    for run in (begun, given_up):
        volume.lay(run)
    (volume.place(begun.id) / "kept" / "begun").mkdir()
    assert not volume.give_up(begun.id, {"code": 1})
    assert volume.give_up(given_up.id, {"code": 1})
    assert not volume.give_up(given_up.id, {"code": 2})
    facts = [volume.facts(run.id) for run in (begun, given_up)]
    assert [one.record if one else 0 for one in facts] == [None, {"code": 1}]


def test_an_end_that_is_written_stays(volume: Volume) -> None:
    run = a_run()
    volume.lay(run)
    for code in (1, 2):
        volume.record(run.id, {"code": code})
    facts = volume.facts(run.id)
    assert facts is not None
    assert facts.record == {"code": 1}


def test_an_end_that_does_not_say_how_gives_way_to_one_that_does(volume: Volume) -> None:
    run = a_run()
    volume.lay(run)
    for record in ({"code": None}, {"code": None, "stuck": True}, {"code": 2}):
        volume.record(run.id, record)
    facts = volume.facts(run.id)
    assert facts is not None
    assert facts.record == {"code": None, "stuck": True}
    assert [place.name for place in (volume.place(run.id) / "kept").iterdir()] == ["end.json"]


def test_the_first_wish_to_stop_counts(volume: Volume) -> None:
    run = a_run()
    volume.cancel(run.id, 1.0)
    volume.lay(run)
    for grace in (2.5, 9.0):
        volume.cancel(run.id, grace)
    assert (volume.place(run.id) / "control" / "cancel").read_text() == "2.5"


@pytest.mark.parametrize("value", ["plain", "it's", '"$HOME" `id` $(id)', "two\nlines", "ü", "\\", ""])
def test_variables_reach_a_shell_as_they_are(volume: Volume, value: str) -> None:
    run = a_run(environment=[("MINE", value), ("HOME", "/evil"), ("PATH", "/evil")])
    volume.lay(run)
    script = f'. {volume.place(run.id)}/control/environment; printf \'%s|%s|%s\' "$MINE" "$HOME" "$PATH"'
    found = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": "/of/image"}, capture_output=True, text=True, check=True
    )
    assert found.stdout == f"{value}|/home/job|/of/image"


def test_what_a_crash_left_is_swept_out(volume: Volume) -> None:
    old, new = volume.root / ".old", volume.root / ".new"
    for place in (old, new):
        (place / "a").mkdir(parents=True)
    os.utime(old, (0, time.time() - 100_000))
    volume.start()
    assert [old.exists(), new.exists()] == [False, True]
