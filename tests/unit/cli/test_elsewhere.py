"""What ``cove submit`` is told of where results go: files, since secrets are nothing for a command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cove.cli import elsewhere
from cove.client import Signer

SIGNER = Signer("4c" * 32)
STORAGE = 'type = "url"\nurl = "https://store.example/geheim/"\nheaders = {"X-A" = "1"}\n'
METADATA = 'name = "Mean"\ndescription = "Of a table."\nauthor = "A"\nlicense = "L"\n'


def written(folder: Path, text: str, name: str = "x.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_nothing_is_wanted_by_itself() -> None:
    assert elsewhere.output_of(None, None, None, publish_log=False) is None
    assert elsewhere.with_key(None, None) is None


def test_files_in_both_forms_become_the_request(tmp_path: Path) -> None:
    json_form = written(
        tmp_path, '{"type": "url", "url": "https://store.example/geheim/", "headers": {"X-A": "1"}}', "x.json"
    )
    for path in (written(tmp_path, STORAGE), json_form):
        wanted = elsewhere.output_of(path, "me", None, publish_log=False)
        found = elsewhere.with_key(wanted, SIGNER)
        assert found == {
            "remoteStorage": {"type": "url", "url": "https://store.example/geheim/", "headers": {"X-A": "1"}},
            "encryption": {"encryptMethod": "ECIES", "key": SIGNER.public_key()},
        }
    text = METADATA + "[additionalInformation]\nday = 2026-01-31\nmean = 1.5\n"
    asset = elsewhere.output_of(None, None, written(tmp_path, text), publish_log=True)
    assert asset is not None
    assert (asset["publishOutput"], asset["publishAlgorithmLog"]) == (True, True)
    assert asset["metadata"]["additionalInformation"] == {"day": "2026-01-31", "mean": 1.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type = ", "not valid TOML"),
        ("{", "not valid JSON"),
        ('type = "ftp"', "type: It must be url or s3"),
        (STORAGE.replace("https", "file"), "url: It must be a URL"),
    ],
)
def test_a_storages_mistakes_are_said_before_anything_is_sent(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words) as caught:
        elsewhere.output_of(written(tmp_path, text), None, None, publish_log=False)
    assert "geheim" not in str(caught.value)


def test_metadatas_mistakes_name_file_and_field(tmp_path: Path) -> None:
    path = written(tmp_path, METADATA.replace("Mean", "M"))
    with pytest.raises(typer.BadParameter, match=r"x\.toml: name: It must be a text of at least 4"):
        elsewhere.output_of(None, None, path, publish_log=False)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    for encrypt, log in (("me", False), (None, True)):
        with pytest.raises(typer.BadParameter, match="goes with"):
            elsewhere.output_of(None, encrypt, None, publish_log=log)
    place = written(tmp_path, STORAGE)
    with pytest.raises(typer.BadParameter, match="needs your account"):
        elsewhere.with_key(elsewhere.output_of(place, "me", None, publish_log=False), None)
    with pytest.raises(typer.BadParameter, match="should be me"):
        elsewhere.with_key(elsewhere.output_of(place, "you", None, publish_log=False), SIGNER)
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        elsewhere.output_of(tmp_path / "none", None, None, publish_log=False)
