"""What only an engine over the Docker API has: a daemon that may be elsewhere, its images, several Coves on it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import daemons
from tests.support.certificates import self_signed
from tests.support.daemons import Daemon
from tests.support.runs import Channel, Stage, Told, a_run, contents
from tests.support.stages.docker import staged

from cove.core.errors import EngineUnfit, ImagePullFailed, ImageRefused, Unavailable
from cove.core.job import Bind, Container, RunId
from cove.core.lifecycle import Active, Exited
from cove.engines import opener
from cove.engines.docker import DockerEngine
from cove.engines.docker.containers import Names
from cove.engines.docker.daemon import Daemon as Asked
from cove.engines.docker.daemon import Facts
from cove.ports import EnginePlace

DAEMONS = {"docker": daemons.docker, "podman": daemons.podman}


@pytest.fixture(params=sorted(DAEMONS))
def daemon(request: pytest.FixtureRequest) -> Daemon:
    return DAEMONS[request.param]()


@pytest.fixture
async def own(daemon: Daemon, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """A started engine at either daemon."""
    async with staged(daemon, tmp_path, channel) as stage:
        stage.listen()
        yield stage


# ------------------------------------------------------------------------------------------------ a daemon elsewhere


@pytest.fixture(params=["docker by TLS", "podman"])
async def elsewhere(request: pytest.FixtureRequest, tmp_path: Path, channel: Channel) -> AsyncIterator[Stage]:
    """An engine whose daemon sees none of this host's files; Docker is asked as one on another host is."""
    if request.param == "podman":
        options: dict[str, object] = {"shared_disk": False}
        daemon = daemons.podman()
    else:
        daemon = daemons.docker()
        certificate = str(daemon.folder / "both.pem")
        options = {"host": f"tcp://127.0.0.1:{daemons.DOCKER_PORT}"}
        options |= dict.fromkeys(["tls_ca", "tls_cert", "tls_key"], certificate)
    async with staged(daemon, tmp_path, channel, **options) as stage:
        stage.listen()
        yield stage


async def test_inputs_are_sent_and_outputs_are_fetched(elsewhere: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    large = bytes(range(256)) * 20_000
    (folder / "inner").write_bytes(large)
    (folder / "inner").chmod(0o600)
    (folder / "link").symlink_to("/etc/shadow")
    script = """
place = Path("/data/inputs/a/0")
os.makedirs("/data/outputs/deep")
Path("/data/outputs/deep/copy").write_bytes(Path("/data/inputs/a/1/inner").read_bytes())
say([place.read_text(), sorted(os.listdir("/data/inputs/a/1")), write(place), write("/data/inputs/a/1/new")])
"""
    (tmp_path / "one: it's").write_text("alone")
    run = a_run(script, Bind(str(tmp_path / "one: it's"), "/data/inputs/a/0"), Bind(str(folder), "/data/inputs/a/1"))
    finished = await elsewhere.finish(run)
    assert finished.said == ["alone", ["inner"], "EROFS", "EROFS"]
    assert finished.outputs == {"deep/copy": large}


async def test_a_log_can_be_read_while_the_run_goes_on_elsewhere(elsewhere: Stage) -> None:
    run = a_run("print('one', flush=True); signal.pause()")
    await elsewhere.engine.submit(run)
    await elsewhere.logged(run.id, "one\n")
    await elsewhere.engine.cancel(run.id)
    assert (await elsewhere.ended(run.id)).code == 143


async def test_nobody_is_let_in_without_the_certificate(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = str(self_signed(tmp_path / "other"))
    ours = str(daemons.docker().folder / "both.pem")
    for certificates in (
        {"tls_ca": ours},
        {"tls_ca": ours, "tls_cert": stranger, "tls_key": stranger},
        {"tls_ca": stranger},
    ):
        options = {"host": f"tcp://127.0.0.1:{daemons.DOCKER_PORT}", **certificates}
        engine = opener("docker")(EnginePlace("docker", tmp_path / "engine", {}, options))
        await engine.start()
        with pytest.raises(Unavailable):
            await engine.runs()
        await engine.close()


# ------------------------------------------------------------------------------------------------ giving and taking


async def test_what_is_given_comes_byte_for_byte_whatever_its_name(own: Stage) -> None:
    content = bytes(range(256)) * 1000  # also what a terminal would take for keys
    name = f"/data/inputs/{'n' * 200}\xe9"
    script = """
import hashlib
(name,) = [name for name in os.listdir("/data/inputs")]
place = Path("/data/inputs", name)
say([name, hashlib.sha256(place.read_bytes()).hexdigest(), write(place), os.stat(place).st_mode & 0o777])
"""
    finished = await own.finish(a_run(script, Bind("", name, content)))
    assert finished.said == [name.rpartition("/")[2], hashlib.sha256(content).hexdigest(), "EROFS", 0o644]


async def test_what_a_run_writes_tells_its_keeper_nothing(own: Stage) -> None:
    words = "given\nhand word\ngive 100000\nword\n"
    script = f"""
print({words!r}, end='', flush=True)
Path("/data/outputs/hand word\\n").write_text({words!r} * 50_000)
Path("/data/outputs/last").write_text("1")
"""
    finished = await own.finish(a_run(script))
    assert finished.log == words
    assert finished.outputs == {"hand word\n": words.encode() * 50_000, "last": b"1"}


async def test_a_run_needs_no_command_in_a_container(tmp_path: Path, channel: Channel) -> None:
    """Each takes the daemon about as long as a whole short run."""
    daemon = daemons.docker()  # Podman's list of what happened has gaps
    began = time.time()
    run = a_run("print(1); Path('/data/outputs/a').write_text('1')")
    async with staged(daemon, tmp_path, channel) as stage:
        stage.listen()
        finished = await stage.finish(run)
        query = {"since": f"{began:.9f}", "until": f"{time.time():.9f}"}
        with daemon.client() as http:
            told = [json.loads(line) for line in http.get("/events", params=query).text.splitlines()]
    assert (finished.log, finished.outputs) == ("1\n", {"a": b"1"})
    ours = {(event["Actor"]["Attributes"].get("name"), str(event["Action"])) for event in told}
    keeper = Names("cove-test", run.id).keeper
    assert (keeper, "start") in ours
    assert not [action for name, action in ours if name == keeper and "exec" in action]


async def test_what_was_taken_is_not_taken_again(own: Stage) -> None:
    """A look that began before the end was written down would replace it, while others read it already."""
    run = a_run("Path('/data/outputs/a').touch()")
    await own.finish(run)
    assert isinstance(own.engine, DockerEngine)
    place = (await own.engine.collect(run.id)).outputs
    before = place.stat().st_ino
    own.engine._settle(run.id, Names("cove-test", run.id).main)
    await asyncio.gather(*own.engine._settling.values())
    assert place.stat().st_ino == before


# ------------------------------------------------------------------------------------------------ images


async def test_images_are_pulled_once_and_named_by_what_was_pulled(
    daemon: Daemon, tmp_path: Path, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemons.registry(tmp_path) as name:
        image = f"{name}/group/host"
        daemon.load(f"{image}:1", daemons.host_archive())
        digest = daemon.push(f"{image}:1")
        async with staged(daemon, tmp_path, channel, pull="missing") as stage:
            stage.listen()
            engine = stage.engine
            with pytest.raises(ImageRefused):
                await engine.submit(a_run("pass", container=Container(image, "1")))
            told = Told()
            prepared = await engine.prepare(Container(image, "1", entrypoint="python3 $ALGO"), told)
            assert prepared.digest.startswith("sha256:")
            assert (await stage.finish(a_run("print(1)", container=prepared))).log == "1\n"
            assert await engine.prepare(prepared, Told()) == prepared
            assert (await engine.prepare(Container(image, "1", digest), Told())).digest == prepared.digest
            for missing in (
                Container(image, "2"),
                Container(f"{name}/nothing", "1"),
                Container(image, "1", f"sha256:{'0' * 64}"),
            ):
                with pytest.raises(ImageRefused):
                    await engine.prepare(missing, Told())
            with daemon.client() as http:
                http.delete(f"/images/{prepared.digest}", params={"force": "true"})
            again = await engine.prepare(Container(image, "7", digest), Told())
            assert again.digest == prepared.digest
    async with staged(daemon, tmp_path, channel, pull="missing") as stage:
        monkeypatch.setattr("cove.engines.docker.images._FIRST_WAIT_SECONDS", 0.001)
        with pytest.raises(ImagePullFailed, match="registry"):
            await stage.engine.prepare(Container(image, "3"), Told())


async def test_the_images_working_directory_is_the_runs_own_copy(own: Stage, daemon: Daemon) -> None:
    files = io.BytesIO(daemons.host_archive())
    with tarfile.open(fileobj=files, mode="a") as archive:
        for name, content in {
            "app/main.py": b"import helper",
            "app/helper.py": MAIN,
            "app/big": bytes(8 << 20),
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    daemon.load(
        "worker", files.getvalue(), "WORKDIR /app", 'CMD ["python3","-u","main.py"]', "ENV PATH=/usr/local/bin:/bin"
    )
    finished = await own.finish(a_run("", container=Container("worker")))
    assert finished.log == "['/app', '/usr/local/bin:/bin', True, 'changed']\n"
    # Nothing of it is left for the next one.
    assert (await own.finish(a_run("", container=Container("worker")))).log == finished.log
    failed = await own.finish(a_run("", container=Container("worker"), disk_bytes=4 << 20))
    assert (failed.exit.failure, "working directory" in failed.exit.detail) == ("sandbox", True)


MAIN = b"""
import os
from pathlib import Path
fresh = not Path("beside").exists()
Path("beside").touch()
Path("main.py").write_text("changed")
print([os.getcwd(), os.environ["PATH"], fresh, Path("main.py").read_text()])
"""


# ------------------------------------------------------------------------------------------------ what may go wrong


async def test_a_time_limit_that_passed_meanwhile_is_kept_at_once(own: Stage, channel: Channel) -> None:
    script = """
import threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
threading.Timer(3.2, tell, ["late"]).start()
while True:
    signal.pause()
"""
    run = a_run(script, *channel.binds, time_seconds=3)
    await own.engine.submit(run)
    await own.engine.close()
    assert await channel.heard() == "late"
    own.engine = own.again()
    await own.engine.start()
    own.listen()
    seen = await own.ended(run.id)
    assert (seen.code, seen.ended_by) == (5, "time_limit")


async def test_another_service_takes_over(own: Stage, daemon: Daemon, tmp_path: Path, channel: Channel) -> None:
    """It has nothing but the daemon: no folder of the first one's."""
    gone, going = a_run("Path('/data/outputs/a').write_text('1'); sys.exit(3)"), a_run("tell(); wait()", *channel.binds)
    await own.finish(gone)
    await own.begin(going)
    (tmp_path / "second").mkdir()
    async with staged(daemon, tmp_path / "second", channel) as second:
        second.listen()
        assert set(await second.engine.runs()) == {gone.id, going.id}
        seen = await second.observe(gone.id)
        while isinstance(seen, Active):
            seen = await second.observe(gone.id)
        assert isinstance(seen, Exited)
        assert (seen.code, seen.failure) == (3, "")
        assert contents((await second.engine.collect(gone.id)).outputs) == {"a": b"1"}
        channel.answer()
        assert (await second.ended(going.id)).code == 0


async def test_several_coves_do_not_see_each_other(
    own: Stage, daemon: Daemon, tmp_path: Path, channel: Channel
) -> None:
    run = a_run("tell(); wait()", *channel.binds)
    await own.begin(run)
    (tmp_path / "second").mkdir()
    async with staged(daemon, tmp_path / "second", channel, name="other") as second:
        assert list(await second.engine.runs()) == []
    assert isinstance(await own.observe(run.id), Active)
    channel.answer()
    assert (await own.ended(run.id)).code == 0


async def test_an_input_that_is_gone_is_told(own: Stage, tmp_path: Path) -> None:
    seen = (await own.finish(a_run("pass", Bind(str(tmp_path / "gone"), "/data/inputs/a/0")))).exit
    assert (seen.failure, seen.detail) == ("sandbox", "An input is not there any more.")


async def test_a_run_that_loses_its_keeper_is_lost(own: Stage, daemon: Daemon, channel: Channel) -> None:
    run = a_run("tell(); wait()", *channel.binds)
    await own.begin(run)
    daemon.remove_container(Names("cove-test", run.id).keeper)
    channel.answer()
    assert (await own.ended(run.id)).failure == "lost"


async def test_a_container_that_goes_after_it_was_listed_is_no_refusal(
    own: Stage, daemon: Daemon, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run("tell(); wait()", *channel.binds)
    await own.engine.submit(run)
    asked = Asked.facts

    async def late(self: Asked, of: RunId) -> Facts | None:
        with daemon.client() as http:
            http.delete(f"/containers/{Names('cove-test', of).main}", params={"force": "true"})
        return await asked(self, of)

    monkeypatch.setattr(Asked, "facts", late)
    seen = await own.observe(run.id)
    assert isinstance(seen, Exited)
    assert seen.failure == "lost"


async def test_an_exit_code_that_a_daemon_may_have_made_up_is_no_end_of_the_algorithm(
    own: Stage, daemon: Daemon, channel: Channel
) -> None:
    assert (await own.finish(a_run("sys.exit(255)"))).exit.code == 255
    run = a_run("tell(); wait(); sys.exit(255)", *channel.binds)
    await own.begin(run)
    await own.engine.close()
    channel.answer()
    with daemon.client() as http:
        http.post(f"/containers/{Names('cove-test', run.id).main}/wait")
    own.engine = own.again()
    await own.engine.start()
    own.listen()
    while isinstance(seen := await own.observe(run.id), Active):
        pass
    assert isinstance(seen, Exited)
    assert seen.failure == "lost"


async def test_the_daemon_keeps_no_log_of_a_run(own: Stage, daemon: Daemon) -> None:
    run = a_run("print('x' * 100_000)")
    await own.finish(run)
    for name in (Names("cove-test", run.id).main, Names("cove-test", run.id).keeper):
        with daemon.client() as http:
            answer = http.get(f"/containers/{name}/logs", params={"stdout": "1", "stderr": "1"})
        assert b"xxx" not in answer.content


async def test_graphics_processors_of_a_daemon_without_are_refused(own: Stage) -> None:
    run = a_run("pass", gpus=1)
    with pytest.raises(EngineUnfit):
        await own.engine.submit(run)
    assert list(await own.engine.runs()) == []
    assert (await own.finish(replace(run, resources=replace(run.resources, gpus=0)))).exit.code == 0
