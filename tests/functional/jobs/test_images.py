"""Jobs whose images come from a registry: they are pulled first, shown in the status and the logs, and never cleaned away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.images import BUSYBOX, RunningRegistry, an_image, busybox, digest_of, tar_of
from tests.support.registries import LOGIN, a_registry
from tests.support.site import Site, settings

from cove.core.job import Container, Job, Outcome, Phase, RegistryLogin
from cove.wire import status_of
from cove.wiring.assembly import open_cove

FILES = [{"type": "local", "root": "data", "path": "table"}]
APP = tar_of([("app/model", b"42\n")])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    if not BUSYBOX.exists():
        pytest.skip("no busybox here: apt-get install busybox-static")
    with a_registry(tmp_path_factory.mktemp("registry") / "closed", login=True) as running:
        yield running


@pytest.fixture
async def site(tmp_path: Path, registry: RunningRegistry) -> AsyncIterator[Site]:
    tmp_path.chmod(0o755)  # noqa: ASYNC240 - before anything runs
    (tmp_path / "data").mkdir()
    (tmp_path / "data/table").write_text("1")
    (tmp_path / "password").write_text(f"{LOGIN[1]}\n")
    closed = {"insecure": True, "username": LOGIN[0], "password_file": tmp_path / "password"}
    changes = {
        "images": {f"{registry.host}/team/*": {"kind": "registry"}, "127.0.0.1:1/*": {"kind": "registry"}},
        "registries": {registry.host: closed, "127.0.0.1:1": {"insecure": True}},
    }
    async with open_cove(settings(tmp_path, **changes)) as cove:
        yield Site(cove)


def pushed(registry: RunningRegistry, name: str, **more: str) -> Container:
    image = an_image(busybox(), APP, tar_of([("name", name.encode())]), run={"WorkingDir": "/app"})
    return Container(registry.push(image, f"team/{name}", "1"), "1", image.digest, **more)


async def test_a_job_runs_in_its_image_and_says_which_it_was(site: Site, registry: RunningRegistry) -> None:
    container = pushed(registry, "tool", entrypoint="sh $ALGO")
    for brought in (True, False):
        job = await site.done(await site.add("cat model > /data/outputs/o; pwd", FILES, container=container))
        assert job.outcome is Outcome.SUCCEEDED, job.message
        assert next(result.type for result in job.results) == "imageLog"
        log = await site.text(job, "image.log")
        assert log.startswith(f"image {container.image}:1 is {container.checksum}")
        assert ("bytes brought" in log) is brought
        assert await site.text(job, "o") == "42\n"
        assert await site.text(job, "algorithm.log") == "/app\n"
    assert site.left_behind() == []


async def test_getting_the_image_is_no_run_time(site: Site, registry: RunningRegistry) -> None:
    container = pushed(registry, "timed", entrypoint="sh $ALGO")
    job = await site.done(await site.add("true", FILES, container=container))
    assert job.started_at is not None
    assert job.finished_at is not None
    place = site.cove.parts.workspaces.parent / "images/images" / container.checksum.removeprefix("sha256:")
    assert job.started_at >= (place / "root").stat().st_mtime


@pytest.mark.parametrize(
    ("name", "outcome", "reason", "sentence"),
    [
        ("{host}/team/never", Outcome.ALGORITHM_FAILED, "image_refused", "has no image team/never of this name"),
        ("{host}/others/tool", Outcome.ALGORITHM_FAILED, "image_refused", "is not one of this environment's"),
        ("127.0.0.1:1/tool", Outcome.PROVIDER_FAILED, "image_pull", "cannot be reached: connection refused"),
    ],
)
async def test_an_image_that_cannot_be_had_ends_the_job_with_a_reason(  # noqa: PLR0917 - examples
    site: Site,
    registry: RunningRegistry,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    outcome: Outcome,
    reason: str,
    sentence: str,
) -> None:
    monkeypatch.setattr("cove.images.registry._FIRST_WAIT_SECONDS", 0.001)
    container = Container(name.format(host=registry.host), "1", digest_of(b""), "sh $ALGO")
    job = await site.done(await site.add("true", FILES, container=container))
    assert (job.outcome, job.reason) == (outcome, reason)
    assert sentence in job.message
    assert status_of(job) == (32, "Algorithm provisioning failed")
    log = await site.text(job, "image.log")
    assert sentence in log
    assert LOGIN[1] not in log


async def test_a_consumers_login_is_used_and_written_down_nowhere(site: Site, registry: RunningRegistry) -> None:
    container = pushed(registry, "own", entrypoint="sh $ALGO")
    wrong = Container(container.image, "1", container.checksum, "sh $ALGO", login=RegistryLogin("ann", "Geheimwort"))
    job = await site.done(await site.add("true", FILES, container=wrong))
    assert (job.outcome, job.reason) == (Outcome.ALGORITHM_FAILED, "image_refused")
    assert "the login given with the job" in job.message
    right = Container(container.image, "1", container.checksum, "sh $ALGO", login=RegistryLogin(*LOGIN))
    script = "echo told > /data/outputs/o; while [ ! -e /data/inputs/never ]; do :; done"
    job_id = await site.add(script, FILES, container=right)
    running = await site.until(job_id, lambda job: job.phase is Phase.RUNNING)
    state = site.cove.parts.workspaces.parent
    assert not await asyncio.to_thread(_holds, state, LOGIN[1].encode())
    # While the job goes on, nothing takes its image.
    assert (state / "workspaces" / job_id / "image").read_text() == container.checksum
    await _stop(site, running)


async def _stop(site: Site, job: Job) -> None:
    await site.cove.reconciler.steps.engine(job).cancel(job.run_id, grace_seconds=0)
    await site.done(job.id)


def _holds(folder: Path, secret: bytes) -> bool:
    files = (place for place in folder.rglob("*") if place.is_file() and not place.is_symlink())
    return any(secret in place.read_bytes() for place in files)
