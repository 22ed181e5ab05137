"""What the daemon is asked for, word by word."""
# ruff: noqa: S108 - inside

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cove.core.job import Container, JobId, Resources, Run, run_id
from cove.engines.docker import containers
from cove.engines.docker.containers import Image, Kept, Names, Plan, Setting, Shown

RUN = Run(
    run_id(JobId("ab" * 16), 1),
    Container("python", "3", entrypoint="python3 $ALGO"),
    (),
    (("MINE", "1"), ("PATH", "/evil")),
    Resources(
        cpus=1.5, memory_bytes=1 << 30, disk_bytes=1 << 20, inodes=100, processes=10, time_seconds=60, log_bytes=4096
    ),
)
PLAN = Plan(Names("cove", RUN.id), RUN, 200_001, Image("sha256:1"), "secret")
CLOSED = Setting(seccomp="{}")
KEPT = Kept("/v/w", "/v/c")


def main(plan: Plan = PLAN, *shown: Shown, setting: Setting = CLOSED) -> dict[str, Any]:
    return containers.main(plan, KEPT, shown, setting)


def test_the_run_is_shut_in() -> None:
    body = main()
    host = body["HostConfig"]
    assert {name: host[name] for name in ("ReadonlyRootfs", "CapDrop", "Privileged", "NetworkMode", "Init")} == {
        "ReadonlyRootfs": True, "CapDrop": ["ALL"], "Privileged": False, "NetworkMode": "none", "Init": True,
    }  # fmt: skip
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp={}"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("private", "private")
    assert (body["User"], body["NetworkDisabled"], body["Tty"], body["OpenStdin"]) == (
        "200001:200001",
        True,
        False,
        False,
    )


def test_every_limit_is_the_daemons_to_enforce() -> None:
    host = main()["HostConfig"]
    memory = (1 << 30) + (1 << 20)
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        memory,
        memory,
        1_500_000_000,
        14,
    )
    ulimits = {one["Name"]: one["Hard"] for one in host["Ulimits"]}
    assert ulimits == {"nofile": 4096, "nproc": 4096, "core": 0, "memlock": 65536, "fsize": 1 << 20}
    assert host["LogConfig"] == {"Type": "none", "Config": {}}


def test_what_a_run_writes_is_one_file_system_of_its_size() -> None:
    volume = containers.writable_volume("name", {}, containers.Size.of(RUN), 200_001)
    assert volume["DriverOpts"]["type"] == "tmpfs"
    assert volume["DriverOpts"]["o"].split(",")[:2] == ["nr_blocks=256", "nr_inodes=116"]
    writable = {one["Target"]: one["Source"] for one in main()["HostConfig"]["Mounts"] if not one["ReadOnly"]}
    assert set(writable) == {"/data/outputs", "/data/logs", "/home/job", "/tmp", "/dev/shm", "/job"}
    assert all(source.startswith("/v/w/") for source in writable.values())


def test_inputs_are_shown_read_only() -> None:
    mounts = main(PLAN, Shown("/owner/a", "/data/inputs/x/0"))["HostConfig"]["Mounts"]
    assert mounts[-1] == {"Type": "bind", "Source": "/owner/a", "Target": "/data/inputs/x/0", "ReadOnly": True}


def test_no_name_shows_the_jobs_id_but_labels_do() -> None:
    names = [PLAN.names.main, PLAN.names.keeper, *map(PLAN.names.volume, "wcd")]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "ab" * 16 in name]
    body = main()
    assert (body["Hostname"], body["Labels"]["cove.run"], body["Labels"]["cove.seconds"]) == ("cove", RUN.id, "60")
    assert containers.limits_of(body["Labels"]) == (60, 4096, 1 << 20)
    assert containers.limits_of({}) == (0, 0, 0)


def test_a_network_and_graphics_processors_only_where_they_were_granted() -> None:
    plan = replace(PLAN, run=replace(RUN, network=True, resources=replace(RUN.resources, gpus=2)))
    body = main(plan, setting=Setting(network="jobs"))
    assert (body["HostConfig"]["NetworkMode"], body["NetworkDisabled"]) == ("jobs", False)
    assert body["HostConfig"]["DeviceRequests"] == [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}]
    assert "DeviceRequests" not in main(setting=Setting(network="jobs"))["HostConfig"]
    assert main(setting=Setting(network="jobs"))["HostConfig"]["NetworkMode"] == "none"


def test_podman_gets_sized_folders_where_it_would_lay_unsized_ones() -> None:
    host = main(setting=Setting(podman=True))["HostConfig"]
    assert {"/run", "/var/tmp"} <= {one["Target"] for one in host["Mounts"]}
    assert "mask=/proc/pressure" in host["SecurityOpt"]


@pytest.mark.parametrize(
    ("entrypoint", "image", "expected"),
    [
        ("python3 $ALGO", Image("i"), ["", "python3", "/data/transformations/algorithm"]),
        ("a | b", Image("i"), ["a | b", "a", "|", "b"]),
        ("", Image("i"), ["", "sh", "/data/transformations/algorithm"]),
        ("", Image("i", ("run", "$ALGO"), ("-v",)), ["", "run", "/data/transformations/algorithm", "-v"]),
        ("", Image("i", (), ("own",)), ["", "own"]),
    ],
)
def test_the_command_is_the_ddos_or_the_images_own(entrypoint: str, image: Image, expected: list[str]) -> None:
    assert containers.command_of(Container("i", entrypoint=entrypoint), image) == expected


@pytest.mark.parametrize(
    ("place", "work", "copied"),
    [("", "/job", False), ("/", "/job", False), ("/app", "/app", True), ("app/", "/app", True), ("/tmp/x", "/tmp/x", False),
     ("/data", "/data", False), ("/database", "/database", True)],
)  # fmt: skip
def test_the_working_directory_is_the_images_with_its_files(place: str, work: str, *, copied: bool) -> None:
    image = Image("i", working_directory=place)
    assert (containers.work_of(image), containers.is_copied(image)) == (work, copied)


def test_the_environment_is_ours_over_the_consumers() -> None:
    found = containers.variables_of(RUN, Image("i", path="/opt/bin"), "s")
    assert (found["MINE"], found["PATH"], found["SECRET"], found["HOME"]) == ("1", "/opt/bin", "s", "/home/job")


def test_a_run_has_one_uid_however_often_it_is_started() -> None:
    other = run_id(JobId("ab" * 16), 2)
    assert containers.user_of(RUN.id, 1000, 10_000) == containers.user_of(RUN.id, 1000, 10_000)
    assert containers.user_of(RUN.id, 1000, 10_000) != containers.user_of(other, 1000, 10_000)
    assert 1000 <= containers.user_of(other, 1000, 10_000) < 11_000
