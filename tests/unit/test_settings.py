from __future__ import annotations

from pathlib import Path

import pytest

from cove.core.errors import SettingsWrong
from cove.settings import load, origins


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cove.toml"
    file.write_text('state_dir = "here"\n[listen]\nport = 1\nhost = "127.0.0.2"\n')
    monkeypatch.setenv("COVE_LISTEN__PORT", "2")
    settings = load(file)
    assert settings.listen.port == 2
    assert settings.listen.host == "127.0.0.2"
    found = {name: origin for name, _, origin in origins(settings, file)}
    assert found["listen.port"] == "environment COVE_LISTEN__PORT"
    assert found["listen.host"] == f"file {file}"
    assert found["poll_seconds"] == "default"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[listen]\nport = 'x'", "listen.port"),
        ("nonsense = 1", "nonsense"),
        ("[[environments]]\nid = 'a b'", "environments.0.id"),
        ("[[environments]]\nid = 'a'\n[[environments]]\nid = 'a'", "environments"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "cove.toml"
    file.write_text(text)
    with pytest.raises(SettingsWrong, match=f"Setting {place}:"):
        load(file)


def test_a_broken_file_and_a_missing_file_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong, match="cannot be read"):
        load(tmp_path / "none.toml")
    broken = tmp_path / "cove.toml"
    broken.write_text("a = [")
    with pytest.raises(SettingsWrong, match="not valid TOML"):
        load(broken)


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "cove.toml"
    secret = "f" * 64
    address = "0x" + "1" * 40
    file.write_text(f'key = "{secret}"\n[[chains]]\nid = 1\nrpc = "http://x/{secret}"\nfactory = "{address}"\n')
    settings = load(file)
    shown = [f"{name} {value}" for name, value, _ in origins(settings, file)]
    assert not [line for line in shown if secret in line]
    assert secret not in repr(settings)
    assert "key (set, hidden)" in shown
