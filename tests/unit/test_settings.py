from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cove.cli.origins import origins
from cove.core.errors import SettingsWrong
from cove.settings import PublishingSettings, load, unused_variables


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cove.toml"
    file.write_text('state_dir = "here"\n[listen]\nport = 1\nhost = "127.0.0.2"\n')
    monkeypatch.setenv("COVE_LISTEN__PORT", "2")
    settings = load(file)
    assert settings.listen.port == 2
    assert settings.listen.host == "127.0.0.2"
    found = {one.name: one.origin for one in origins(settings, file)}
    assert found["listen.port"] == "environment COVE_LISTEN__PORT"
    assert found["listen.host"] == f"file {file}"
    assert found["poll_seconds"] == "default"


SECRET = "5e7f3f9dcd71f3a1c8a3d1b2c7e1b0d9" * 2
CHAIN = f'[[chains]]\nid = 1\nrpc = "http://node/{SECRET}"\n'


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        (f"[listen]\nport = '{SECRET}'", "Setting listen.port: should be a valid integer, unable to", "lists every"),
        ("[listen]\nport = 65536", "Setting listen.port: should be less than or equal to 65535.", "lists every"),
        (f"kye = '{SECRET}'", "There is no setting kye.", "Did you mean key?"),
        ("[listen]\nhots = 'x'", "There is no setting listen.hots.", "Did you mean host?"),
        (f"{CHAIN}factry = '0x'", "Setting chains.0.factory is missing.", "lists every"),
        (f"{CHAIN}factory = '0x{'1' * 40}'\nmetdata = ''", "There is no setting chains.0.metdata.", "mean metadata?"),
        ("[[environments]]\nid = 'a b'", "Setting environments.0.id: should match pattern", "lists every"),
        ("[[environments]]\nid = 'a'\n[[environments]]\nid = 'a'", "Setting environments: each id may", "lists every"),
        (
            "[[environments]]\nid = 'a'\nmemory = 'lots'",
            "Setting environments.0.memory: could not parse",
            "lists every",
        ),
        ("[[environments]]\nid = 'a'\ngpus = 1", "Setting environments.0: the sandbox engine cannot", "lists every"),
        ("[[environments]]\nid = 'a'\nnetwork = 'allowed'", "Setting environments.0: the sandbox engine has", "lists"),
        (
            "[[environments]]\nid = 'a'\naccess = {addresses = ['0x1']}",
            "Setting environments.0.access.addresses: should be a list of addresses, each 0x",
            "lists every",
        ),
        (
            f"[[environments]]\nid = 'a'\naccess = {{tokens = [{{chain = 1, contract = '{SECRET}'}}]}}",
            "Setting environments.0.access.tokens.0.contract: should match pattern",
            "lists every",
        ),
        ("[[environments]]\nid = 'a'\nimages = ['a b']", "Setting environments.0.images.0: should match", "lists"),
        ("[[environments]]\nid = 'a'\nfree = {cpus = 9.0}", "Setting environments.0: free.cpus is more than", "lists"),
        ("[[environments]]\nid = 'a'\nprices = [{chain = 1}]", "Setting environments.0.prices.0.token is", "lists"),
        ("[[environments]]\nid = 'a'\nmax_queue_wait = -1", "Setting environments.0.max_queue_wait: should", "lists"),
        ("[listen]\ntrusted_proxies = ['x']", "Setting listen.trusted_proxies: should be addresses or", "lists every"),
        (
            "[api]\nauthorized_decrypters = ['0x1']",
            "Setting api.authorized_decrypters: should be a list",
            "lists every",
        ),
        ("[limits]\nclient = -1", "Setting limits.client: should be greater than or equal to 0.", "lists every"),
        ("[limits]\noutside_at_once = 0", "Setting limits.outside_at_once: should be greater", "lists every"),
        *(
            (
                f"[[chains]]\nid = 1\nfactory = '0x{'1' * 40}'\nrpc = {given}",
                f"Setting chains.0.rpc: {text}.",
                "lists every",
            )
            for given, text in (
                ("5", "should be a URL, or a list of URLs"),
                ("[]", "should be a URL, or a list of URLs"),
                (f"['{SECRET}', 5]", "should be a URL, or a list of URLs"),
                (f"['{SECRET}', '{SECRET}']", "each URL may stand once"),
            )
        ),
        ("listen = 5", "Setting listen: should be a table.", "lists every"),
        ("local = 5", "Setting local: should be a table.", "lists every"),
        ("state_dir = 5", "Setting state_dir: should be a path.", "lists every"),
        ("log_level = 'loud'", "Setting log_level: should be 'debug', 'info', 'warning' or 'error'.", "lists every"),
        (f"key = '{SECRET}00'", "Setting key: should be a private key of 64 hex digits.", "lists every"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(tmp_path: Path, text: str, sentence: str, hint: str) -> None:
    file = tmp_path / "cove.toml"
    file.write_text(text)
    with pytest.raises(SettingsWrong) as caught:
        load(file)
    assert caught.value.message.startswith(sentence)
    assert hint in (caught.value.hint or "")
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"


def test_the_variable_of_a_wrong_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COVE_LISTEN", '{"port": "secret"}')
    with pytest.raises(SettingsWrong, match=r"^Setting listen\.port \(from COVE_LISTEN\): should be a valid integer"):
        load()
    monkeypatch.setenv("COVE_LISTEN", "secret")
    with pytest.raises(SettingsWrong, match=r"^COVE_LISTEN cannot be read\.$"):
        load()


def test_variables_that_set_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The last three are of the consumer's commands, and what Kubernetes sets beside a service named cove.
    for name in ("COVE_KEY", "COVE_KYE", "COVE_LISTN__PORT", "COVE_URL", "COVE_ACCOUNT_KEY_FILE", "COVE_SERVICE_HOST"):
        monkeypatch.setenv(name, "")
    assert unused_variables() == ["COVE_KYE", "COVE_LISTN__PORT"]


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
    shown = [f"{one.name} {one.shown} {one.value}" for one in origins(settings, file)]
    assert not [line for line in shown if secret in line]
    assert secret not in repr(settings)
    assert "key (set, hidden) (set, hidden)" in shown


def test_a_chain_has_one_url_or_several(tmp_path: Path) -> None:
    file = tmp_path / "cove.toml"
    urls = [f"http://one/{SECRET}", f"http://two/{SECRET}"]
    for given, found in ((f"'{urls[0]}'", urls[:1]), (repr(urls), urls)):
        file.write_text(f"[[chains]]\nid = 1\nrpc = {given}\nfactory = '0x{'1' * 40}'\n")
        settings = load(file)
        assert [url.get_secret_value() for url in settings.chains[0].rpcs] == found
        shown = [f"{one.name} {one.shown} {one.value} {one.origin}" for one in origins(settings, file)]
        assert SECRET not in f"{shown} {settings!r} {settings.model_dump_json()}"
        assert f"chains.0.rpc {', '.join(['(set, hidden)'] * len(found))}" in " ".join(shown)


def test_who_pays_for_assets_says_how_much() -> None:
    assert not PublishingSettings().allowed
    for given in ({}, {"max_cost": "1"}, {"max_cost": "2", "max_cost_per_day": "1"}):
        with pytest.raises(ValidationError, match="max_cost_per_day"):
            PublishingSettings.model_validate({"allowed": True, **given})
    assert PublishingSettings.model_validate({"allowed": True, "max_cost": "0.5", "max_cost_per_day": 1}).allowed
