"""The rules over prepared trees of folders; what a kernel makes of them is in tests/functional/engines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cove.core.job import Resources
from cove.engines.sandbox.cgroups import OURS, Place, base, find, groups, hierarchies, own_group

RESOURCES = Resources(1.5, 100, 50, 1000, 20, 60, 1000)
HYBRID = """\
24 1 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:22 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
26 24 0:23 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
28 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
PURE = "30 1 0:26 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup rw,nsdelegate\n"


def make_group(folder: Path, controllers: str = "cpu io memory pids", *, is_top: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = ["cgroup.procs", "cgroup.subtree_control", *([] if is_top else ["cgroup.type"])]
    for name in names:
        (folder / name).write_text("")
    (folder / "cgroup.controllers").write_text(controllers)
    return folder


def close(group: Path) -> None:
    """Take a group from whoever is not root; root is asked differently."""
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (group / name).unlink()


def test_hierarchies_are_found_where_they_are_mounted() -> None:
    assert hierarchies(HYBRID) == {
        "": Path("/sys/fs/cgroup/unified"),
        "memory": Path("/sys/fs/cgroup/memory"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
    }
    assert hierarchies(PURE) == {"": Path("/sys/fs/cgroup")}
    assert hierarchies("") == {}


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("0::/\n", ""),
        ("4:memory:/x\n0::/system.slice/cove.service\n", "system.slice/cove.service"),
        ("0::/a (deleted)\n", "a"),
        ("0::/../other\n", None),
        ("4:memory:/x\n", None),
    ],
)
def test_the_own_group_is_that_of_version_2(text: str, group: str | None) -> None:
    assert own_group(text) == group


def test_a_group_that_systemd_gave_away_is_taken_also_from_below_it(tmp_path: Path) -> None:
    top = make_group(tmp_path / "top", is_top=True)
    unit = make_group(top / "system.slice" / "cove.service")
    make_group(unit / "service")
    try:
        os.setxattr(unit, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system keeps no attributes: run the tests with --basetemp on another")
    for group in ("system.slice/cove.service", "system.slice/cove.service/service"):
        assert base(top, group) == unit


def test_without_a_mark_it_is_the_own_group_or_the_one_that_it_was_split_from(tmp_path: Path) -> None:
    top = make_group(tmp_path / "top")  # of a container: it has a type
    unit = make_group(top / "cove.scope")
    make_group(unit / OURS)
    assert base(top, "cove.scope") == unit
    assert base(top, f"cove.scope/{OURS}") == unit
    assert base(top, "") == top
    assert base(top, None) is None
    close(unit)
    assert base(top, "cove.scope") is None
    assert base(top, f"cove.scope/{OURS}") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root takes the system's own top: run the tests as root")
def test_root_takes_the_systems_own_top(tmp_path: Path) -> None:
    top = make_group(tmp_path / "top", is_top=True)
    make_group(top / "user.slice")
    assert base(top, "user.slice") == top


def test_a_tree_without_our_controllers_gives_nothing(tmp_path: Path) -> None:
    top = make_group(tmp_path / "top", "hugetlb", is_top=True)
    mounts = f"25 24 0:22 / {top} rw - cgroup2 cgroup2 rw\n"
    assert find("cove", mounts=mounts, own="0::/\n") == ()


def test_without_any_cgroup_nothing_is_found() -> None:
    assert find("cove", mounts="", own="") == ()


def test_limits_of_version_1_stand_in_a_group_for_each_controller() -> None:
    places = [Place(name, 1, Path("/c") / name / "cove") for name in ("memory", "pids", "cpu")]
    assert groups(places, "run-1", 150, RESOURCES) == [
        ("/c/memory/cove/run-1", [("memory.limit_in_bytes", "150"), ("memory.memsw.limit_in_bytes", "150")]),
        ("/c/pids/cove/run-1", [("pids.max", "24")]),
        ("/c/cpu/cove/run-1", [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")]),
    ]


def test_limits_of_version_2_share_one_group() -> None:
    places = [Place(name, 2, Path("/c/cove")) for name in ("memory", "pids", "cpu")]
    assert groups(places, "run-1", 150, RESOURCES) == [
        (
            "/c/cove/run-1",
            [("memory.max", "150"), ("memory.swap.max", "0"), ("pids.max", "24"), ("cpu.max", "150000 100000")],
        ),
    ]
