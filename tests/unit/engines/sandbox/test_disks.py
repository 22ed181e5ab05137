from __future__ import annotations

import pytest

from cove.core.job import Resources
from cove.engines.sandbox.disks import Disks

GIBIBYTE = 1 << 30
HERE = Disks(2 * GIBIBYTE, 8 * GIBIBYTE, "/usr/sbin/mkfs.ext4")
PLANNED = {"size": 3 * GIBIBYTE + 8192, "inodes": 1204, "folders": ()}


def a_run(memory: int, disk: int) -> Resources:
    return Resources(1.0, memory * GIBIBYTE, disk * GIBIBYTE, 1000, 20, 60, 1000)


@pytest.mark.parametrize(
    ("memory", "disk", "in_memory"),
    [(1, 1, True), (1, 2, True), (6, 2, True), (1, 3, False), (7, 2, False), (100, 1, False)],
)
def test_a_disk_is_in_memory_up_to_the_setting_and_where_it_fits(memory: int, disk: int, in_memory: bool) -> None:  # noqa: FBT001
    assert HERE.are_in_memory(a_run(memory, disk)) is in_memory


def test_all_are_in_memory_where_a_file_cannot_be_had() -> None:
    nothing = Disks(2 * GIBIBYTE, 8 * GIBIBYTE)
    assert nothing.are_in_memory(a_run(1, 100))
    assert nothing.mounts(PLANNED, a_run(1, 3)) == (PLANNED, None)
    assert nothing.enforcement() == "sized tmpfs"


def test_a_disk_in_a_file_leaves_our_own_small_files_in_memory() -> None:
    mounts, disk = HERE.mounts(PLANNED, a_run(1, 3))
    assert disk == {"bytes": 3 * GIBIBYTE, "inodes": 1102, "mkfs": "/usr/sbin/mkfs.ext4"}
    assert 8192 < mounts["size"] < 4 << 20
    assert HERE.enforcement() == "sized tmpfs, ext4 in a file above 2 GiB"
