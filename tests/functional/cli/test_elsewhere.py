"""Results that a consumer has sent to a storage of theirs, and opens there, by commands alone."""

from __future__ import annotations

from tests.functional.cli.conftest import House
from tests.support.storage import storing

CODE = "import os\nopen(os.environ['OUTPUTS'] + '/mean', 'w').write('7')"


def test_results_are_sent_encrypted_and_opened(house: House) -> None:
    with storing() as storage:
        (house.folder / "storage.toml").write_text(f'type = "url"\nurl = "{storage.url}/geheim/"\n')
        sent = house.submit(CODE, "--send-to", "storage.toml", "--encrypt-to", "me")
        assert sent.returncode == 0, sent.stderr
        job_id = sent.stdout.strip()
        taken = [storage.taken.get(timeout=120) for _ in range(4)]
    assert sorted(path.rpartition("/")[2] for path in taken) == [
        "algorithm.log", "configuration.log", "mean", "receipt.json",
    ]  # fmt: skip
    (house.folder / "sealed").write_bytes(storage.files[f"/geheim/{job_id}-1/outputs/mean"])
    opened = house.consumer("decrypt", "sealed", "--out", "mean")
    assert opened.returncode == 0, opened.stderr
    assert (house.folder / "mean").read_text() == "7"
    other = house.consumer("decrypt", "sealed", "--out", "other", key="stranger")
    assert other.returncode == 2
    assert "not encrypted to the key" in other.stderr
    assert not (house.folder / "other").exists()
    shown = house.consumer("status", job_id)
    assert "4 files" in shown.stdout
    assert "geheim" not in shown.stdout


def test_a_provider_that_publishes_nothing_says_so(house: House) -> None:
    text = 'name = "Mean"\ndescription = "Of a table."\nauthor = "A"\nlicense = "L"\n'
    (house.folder / "asset.toml").write_text(text)
    refused = house.submit(CODE, "--publish-output", "asset.toml")
    assert refused.returncode == 3
    assert "publishing_not_allowed" in refused.stderr
    assert "publishing.allowed" in refused.stderr
