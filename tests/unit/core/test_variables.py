from __future__ import annotations

import pytest

from cove.core.errors import Refused
from cove.core.variables import MAX_VALUE, MAX_VARIABLES, OURS, check_environment


def refusal(variables: dict[str, str]) -> str | None:
    try:
        check_environment(variables)
    except Refused as problem:
        return problem.reason
    return None


def test_a_consumers_own_names_are_theirs() -> None:
    assert refusal({}) is None
    assert refusal({"EPOCHS": "3", "my_model": "a=b\nc", "_x": "", "RATE": "1", "NODES": "2"}) is None


@pytest.mark.parametrize(
    "name",
    [
        *sorted(OURS), "LD_PRELOAD", "ld_library_path", "BASH_ENV", "ENV", "IFS", "NODE_OPTIONS", "PYTHONPATH",
        "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "R_PROFILE", "GCONV_PATH", "COVE_KEY", "Path",
    ],
)  # fmt: skip
def test_what_steers_service_or_interpreter_is_reserved(name: str) -> None:
    assert refusal({name: "x"}) == "reserved"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "A\n", "É", "A" * 129, "A\0"])
def test_what_is_no_name(name: str) -> None:
    assert refusal({name: "x"}) == "name_invalid"


def test_values_and_numbers_are_bounded() -> None:
    assert refusal({"A": "\0"}) == "value_invalid"
    assert refusal({"A": "\ud800"}) == "value_invalid"
    assert refusal({"A": "x" * (MAX_VALUE + 1)}) == "value_invalid"
    assert refusal({f"A{number}": "" for number in range(MAX_VARIABLES + 1)}) == "too_many"
