"""The profile of system calls for container daemons: it refuses what the sandbox's own filter refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cove.core.kernel import FAMILIES, MACHINES, TIOCLINUX, TIOCSTI, oci_profile

WORD = 0xFFFFFFFF


def answer(profile: dict[str, Any], call: str, *arguments: int) -> str:
    """Give what the kernel would answer: the first rule that fits, as all of ours refuse."""
    for rule in profile["syscalls"]:
        if call in rule["names"] and all(fits(one, arguments) for one in rule.get("args", [])):
            return {1: "EPERM", 38: "ENOSYS"}[rule["errnoRet"]]
    return "done"


def fits(compared: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    assert compared["op"] == "SCMP_CMP_MASKED_EQ"
    return bool(arguments[compared["index"]] & compared["value"] == compared["valueTwo"])


@pytest.fixture(params=sorted(MACHINES))
def profile(request: pytest.FixtureRequest) -> dict[str, Any]:
    text = oci_profile(request.param)
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    assert found["defaultAction"] == "SCMP_ACT_ALLOW"
    assert len(found["architectures"]) == 1
    return found


def test_every_call_of_the_sandboxs_table_is_refused(profile: dict[str, Any]) -> None:
    names = set(MACHINES["x86_64"][1]) & set(MACHINES["aarch64"][1])
    assert {answer(profile, name, 0) for name in names} == {"EPERM"}
    assert answer(profile, "clone3") == "ENOSYS"
    assert answer(profile, "read", 0) == "done"


@pytest.mark.parametrize("flag", [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000])
def test_no_namespace_is_made_by_clone(profile: dict[str, Any], flag: int) -> None:
    assert answer(profile, "clone", flag | 17) == "EPERM"
    assert answer(profile, "clone", 0x3D0F00) == "done"  # a thread


def test_sockets_and_terminals_are_looked_at_in_the_half_that_the_kernel_reads(profile: dict[str, Any]) -> None:
    for family in FAMILIES:
        assert answer(profile, "socket", family, 3) == answer(profile, "socket", family | 1 << 32, 3) == "EPERM"
    for request in (TIOCSTI, TIOCLINUX):
        assert answer(profile, "ioctl", 0, request) == answer(profile, "ioctl", 0, request | 1 << 32) == "EPERM"
    assert answer(profile, "socket", 2, 1) == answer(profile, "ioctl", 0, 0x5413) == "done"


@pytest.mark.parametrize("value", [1, 8, 0x20000, 0x40000, 0x7FFFFFFF, 0x80000000, WORD - 1])
def test_no_personality_but_the_usual_one(profile: dict[str, Any], value: int) -> None:
    assert answer(profile, "personality", value) == "EPERM"
    assert answer(profile, "personality", 0) == answer(profile, "personality", WORD) == "done"


def test_a_machine_without_a_table_has_no_profile() -> None:
    assert oci_profile("riscv64") is None
