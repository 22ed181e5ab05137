"""Runs of unpacked images: working directory, variables, own command, and what stays as it was."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.support.images import an_entry, tar_of

from cove.core.errors import ImageRefused

if TYPE_CHECKING:
    from tests.functional.engines.conftest import Kitchen

APP = tar_of([an_entry("app", tarfile.DIRTYPE), ("app/model.txt", b"trained\n"), ("app/lib/deep.txt", b"deep\n")])


async def test_the_working_directory_can_be_changed_and_the_image_stays_as_it_was(kitchen: Kitchen) -> None:
    container = await kitchen.ready(APP, run={"WorkingDir": "/app"}, entrypoint="sh $ALGO")
    script = (
        "set -e; pwd; cat model.txt; echo more >> model.txt; echo new > new.txt; echo x > lib/deep.txt; mkdir sub;"
        "rm -r lib; ls; cat model.txt; echo done > /data/outputs/o"
    )
    for _ in range(2):  # the second run sees nothing of the first
        done = await kitchen.finish(container, script)
        assert done.log == "/app\ntrained\nmodel.txt\nnew.txt\nsub\ntrained\nmore\n", done.exit
        assert done.outputs == {"o": b"done\n"}
    image = kitchen.store.get(container.digest)
    assert image is not None
    assert (image.root / "app/model.txt").read_bytes() == b"trained\n"
    assert sorted(place.name for place in (image.root / "app").iterdir()) == ["lib", "model.txt"]


async def test_the_rest_of_the_image_cannot_be_changed(kitchen: Kitchen) -> None:
    container = await kitchen.ready(APP, run={"WorkingDir": "/app"}, entrypoint="sh $ALGO")
    done = await kitchen.finish(container, "echo x > /etc/passwd; echo x > /bin/new; id -u; id -un")
    assert "can't create /etc/passwd: Read-only" in done.log
    assert "can't create /bin/new: Read-only" in done.log
    assert done.log.endswith("1000\njob\n")


async def test_the_working_directorys_layer_counts_as_what_the_run_writes(kitchen: Kitchen) -> None:
    container = await kitchen.ready(APP, run={"WorkingDir": "/app"}, entrypoint="sh $ALGO")
    done = await kitchen.finish(container, "while echo 0123456789abcdef0123456789abcdef; do :; done > big; exit 7")
    assert "No space left" in done.log, done


async def test_a_container_without_entrypoint_runs_the_images_own_command(kitchen: Kitchen) -> None:
    run = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ['echo "own $MODE $0"; pwd'], "Env": ["MODE=fast"]}
    container = await kitchen.ready(run=run)
    done = await kitchen.finish(container)
    assert done.log == "own fast /bin/sh\n/\n"


async def test_variables_of_the_image_reach_the_run_but_none_that_steer_or_are_ours(kitchen: Kitchen) -> None:
    env = ["PATH=/opt/tools:/bin", "MODE=fast", "LD_PRELOAD=/evil.so", "HOME=/root", "OUTPUTS=/elsewhere", "secret=x"]
    container = await kitchen.ready(run={"Env": env}, entrypoint="env")
    seen = dict(line.split("=", 1) for line in (await kitchen.finish(container)).log.splitlines())
    assert seen["PATH"] == "/opt/tools:/bin"
    assert seen["MODE"] == "fast"
    assert seen["HOME"] == "/home/job"
    assert seen["OUTPUTS"] == "/data/outputs"
    assert len(seen["secret"]) == 32
    assert "LD_PRELOAD" not in seen


@pytest.mark.parametrize(
    ("folder", "seen"),
    [
        ("/not/there", "/not/there"), ("/data", "/data"), ("/proc/self", "/"), ("/home/job/x", "/home/job"), ("", "/"),
        ("/linked/x", "/app/x"), ("/etc", "/etc"), ("../..", "/"),
    ],
)  # fmt: skip
async def test_every_working_directory_is_one_that_a_run_can_start_in(kitchen: Kitchen, folder: str, seen: str) -> None:
    layer = tar_of([an_entry("linked", tarfile.SYMTYPE, "/app"), ("app/x/y", b"")])
    container = await kitchen.ready(layer, run={"WorkingDir": folder}, entrypoint="sh $ALGO")
    done = await kitchen.finish(container, "pwd; [ $PWD = /data ] || touch here")
    assert done.log == f"{seen}\n"
    assert done.exit.code == 0


async def test_an_image_that_was_removed_meanwhile_is_refused_with_what_to_do(kitchen: Kitchen) -> None:
    container = await kitchen.ready(APP, entrypoint="sh $ALGO")
    image = kitchen.store.get(container.digest)
    assert image is not None
    os.utime(image.root.parent / "image.json", (1, 1))
    assert await kitchen.store.remove(container.digest)
    with pytest.raises(ImageRefused, match="not here any more"):
        await kitchen.finish(container)


async def test_homes_of_the_images_own_users_are_there(kitchen: Kitchen) -> None:
    layer = tar_of([("home/jovyan/notes", b"n\n"), ("etc/passwd", b"jovyan:x:1000:100::/home/jovyan:/bin/sh\n")])
    container = await kitchen.ready(layer, run={"WorkingDir": "/home/jovyan"}, entrypoint="sh $ALGO")
    done = await kitchen.finish(container, "pwd; cat notes; id -un; echo x > notes; cat notes; echo $HOME; touch ~/a")
    assert done.log == "/home/jovyan\nn\njovyan\nx\n/home/job\n"


async def test_no_byte_of_the_working_directory_is_copied(kitchen: Kitchen) -> None:
    container = await kitchen.ready(APP, run={"WorkingDir": "/app"}, entrypoint="sh $ALGO")
    done = await kitchen.finish(container, "while read line; do echo $line; done < /proc/self/mounts")
    assert [line.split()[2] for line in done.log.splitlines() if line.split()[1] == "/app"][-1] == "overlay"
