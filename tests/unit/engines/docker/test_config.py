"""The engine's table: every mistake is named with its place."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cove.core.errors import SettingsWrong
from cove.engines.docker import open_engine
from cove.engines.docker.config import config_of, login
from cove.ports import EnginePlace


def place(**options: object) -> EnginePlace:
    return EnginePlace("mine", Path("/nowhere"), options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": "x"}, "engines.mine.hosts is not a setting of this engine; there are: helper, host, "),
        ({"host": "ssh://x"}, "engines.mine.host should be unix:///path or tcp://host:port"),
        ({"host": 7}, "engines.mine.host should be a text"),
        ({"tls_ca": "/nowhere/ca.pem"}, "engines.mine.tls_ca names a file that is not there"),
        ({"shared_disk": "yes"}, "engines.mine.shared_disk should be true or false"),
        ({"name": "a b"}, "engines.mine.name should be letters"),
        (
            {"network": "host"},
            "engines.mine.network should be the name of a network of the daemon's, not the host's own",
        ),
        ({"network": "container:x"}, "engines.mine.network should be"),
        ({"pull": "always"}, "engines.mine.pull should be missing or never"),
        ({"registries": {"x": {"user": "y"}}}, "engines.mine.registries should be tables by registry"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsWrong, match=said):
        config_of(place(**options))


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no certificate")
    with pytest.raises(SettingsWrong, match="both tls_cert and tls_key"):
        config_of(place(tls_cert=str(tmp_path / "a")))
    with pytest.raises(SettingsWrong, match="certificates .* cannot be used"):
        open_engine(place(host="tcp://127.0.0.1:1", tls_ca=str(tmp_path / "a")))


def test_another_host_shares_no_disk_unless_it_is_said() -> None:
    assert config_of(place()).shared_disk
    assert not config_of(place(host="tcp://10.0.0.1:2376")).shared_disk
    assert config_of(place(host="tcp://10.0.0.1:2376", shared_disk=True)).shared_disk


@pytest.mark.parametrize(
    ("image", "who"),
    [
        ("python", "hub"),
        ("library/python", "hub"),
        ("reg.example:5000/a/b", "own"),
        ("localhost/a", None),
        ("ghcr.io/a", None),
    ],
)
def test_each_registry_has_its_own_login(image: str, who: str | None) -> None:
    known = {
        name: {"username": who, "password": "p"} for name, who in [("docker.io", "hub"), ("reg.example:5000", "own")]
    }
    header = login(config_of(place(registries=known)), image)
    assert (json.loads(base64.urlsafe_b64decode(header))["username"] if header else None) == who
