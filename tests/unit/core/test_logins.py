from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.errors import Invalid
from cove.core.job import RegistryLogin
from cove.core.logins import FIELD, parse_login


@pytest.mark.parametrize(
    "given_login",
    [{"username": "ann", "password": "a:b"}, {"auth": base64.b64encode(b"ann:a:b").decode()}],
)
def test_both_forms_of_ocean_node_are_read(given_login: dict[str, str]) -> None:
    assert parse_login(json.dumps(given_login).encode()) == RegistryLogin("ann", "a:b")


@given(
    st.binary(max_size=40)
    | st.fixed_dictionaries(
        {}, optional={key: st.text(max_size=9) | st.none() | st.integers() for key in ("username", "password", "auth")}
    ).map(lambda login: json.dumps(login).encode())
)
def test_anything_else_is_refused_under_its_field(plain: bytes) -> None:
    try:
        login = parse_login(plain)
    except Invalid as problem:
        assert list(problem.errors) == [FIELD]
    else:
        assert login.username
        assert login.password


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(RegistryLogin("ann", "secret"))
