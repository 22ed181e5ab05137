"""Whose fault a pull is that a daemon says failed."""

from __future__ import annotations

import pytest

from cove.core.errors import CoveError, ImagePullFailed, ImageRefused, NoSpace
from cove.core.job import Container, RegistryLogin
from cove.engines.docker.images import failure

DIGEST = "sha256:" + "0500" * 16


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"manifest for 127.0.0.1:35001/team/tool@{DIGEST} not found: manifest unknown", ImageRefused),
        ("pull access denied for team/tool502, repository does not exist", ImageRefused),
        ("Head http://127.0.0.1:5000/v2/tool/manifests/1: no basic auth credentials", ImageRefused),
        ("received unexpected HTTP status: 503 Service Unavailable", ImagePullFailed),
        ("error parsing HTTP 502 response body: invalid character", ImagePullFailed),
        ("StatusCode: 504, <html>", ImagePullFailed),
        ("invalid status code from registry 500 (Internal Server Error)", ImagePullFailed),
        ("Get http://127.0.0.1:1/v2/: dial tcp 127.0.0.1:1: connect: connection refused", ImagePullFailed),
        ("write /root/layer: no space left on device", NoSpace),
    ],
)
def test_a_number_in_a_name_is_no_answer_of_a_registry(text: str, error: type[CoveError]) -> None:
    assert type(failure(Container("team/tool", "1"), text)) is error


def test_who_gave_a_login_is_told_that_it_did_not_do() -> None:
    refused = failure(Container("team/tool", "1", login=RegistryLogin("ann", "Geheimwort")), "unauthorized")
    assert "the login given with the job" in str(refused)
    assert "Geheimwort" not in str(refused)
