from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid
from cove.core.parameters import Parameter, fill, parse_parameters

AGE = Parameter("age", "number", required=True)
CITY = Parameter("city", "text", default='"Bremen"')
SMOKES = Parameter("smokes", "boolean")
KIND = Parameter("kind", "select", options=("a", "b"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def filled(*parameters: Parameter, **values: Any) -> dict[str, Any]:
    return json.loads(fill(parameters, json.dumps(values), "userdata"))


def test_defaults_are_filled_in_and_the_rest_stays() -> None:
    assert filled(AGE, CITY, age=4, other=[1]) == {"age": 4, "city": "Bremen", "other": [1]}
    assert filled(CITY, city="") == {"city": ""}
    assert filled(CITY, city=None) == {"city": "Bremen"}


def test_every_value_keeps_its_own_text() -> None:
    text = '{"age": 0.10000000000000000000000000001, "x": 1e400}'
    assert "0.10000000000000000000000000001" in fill([AGE], text, "userdata")
    assert "1e400" in fill([AGE], text, "userdata")


def test_each_wrong_parameter_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        filled(AGE, SMOKES, KIND, smokes="perhaps", kind="c")
    assert caught.value.errors == {
        "userdata.age": ["The asset requires a number."],
        "userdata.smokes": ["It must be true or false."],
        "userdata.kind": ["It must be one of: a, b."],
    }


@pytest.mark.parametrize("value", [5, 5.5, "5", "-1e3"])
def test_numbers_come_as_numbers_or_as_forms_send_them(value: object) -> None:
    assert filled(AGE, age=value) == {"age": value}


@pytest.mark.parametrize("value", [True, "", "x", [], {}, "nan", "inf", "1e999"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Invalid):
        filled(AGE, age=value)


def test_definitions_are_read_as_publishers_write_them() -> None:
    assert parse_parameters(
        [
            {
                "name": "kind",
                "type": "select",
                "required": True,
                "options": [{"a": "First"}, {"b": "Second"}],
                "default": "a",
            },
            {"name": "kinds", "type": "select", "options": '["x", 1, true]'},
            {"name": "age", "type": "number", "required": "optional", "default": ""},
            {"name": "on", "type": "boolean", "default": False},
            {"type": "text"},
            "nonsense",
            {"name": 5},
        ]
    ) == (
        Parameter("kind", "select", required=True, default='"a"', options=("a", "b")),
        Parameter("kinds", "select", options=("x", "1", "true")),
        Parameter("age", "number"),
        Parameter("on", "boolean", default="false"),
    )


@given(JSON)
def test_no_definition_breaks_the_reading(value: object) -> None:
    for parameter in (*parse_parameters(value), *parse_parameters([value])):
        assert parameter.name


@given(
    st.lists(st.dictionaries(st.sampled_from(["name", "type", "required", "default", "options"]), JSON), max_size=4),
    st.dictionaries(st.text(), JSON),
)
def test_what_is_given_is_never_lost(definitions: list[dict[str, Any]], values: dict[str, Any]) -> None:
    try:
        answer = json.loads(fill(parse_parameters(definitions), json.dumps(values), "userdata"))
    except Invalid as problem:
        assert all(name.startswith("userdata.") for name in problem.errors)
        return
    assert all(answer[name] == value for name, value in values.items() if value is not None)
