"""``encryptedDockerRegistryAuth``: a login for a private image, as Ocean Node takes it."""

from __future__ import annotations

import json

import pytest
from tests.support.house import House
from tests.support.trade import open_trade

from cove.jobs.steps import unpack

FIELD = "encryptedDockerRegistryAuth"


async def test_a_login_is_kept_sealed_with_its_job_and_shown_nowhere(house: House) -> None:
    trade = await open_trade(house)
    tx = await trade.pay(1)
    plain = json.dumps({"username": "ann", "password": "Geheimwort"}).encode()
    answer = await trade.start(tx, **{FIELD: "0x" + house.cove.vault.encrypt(plain).hex()})
    assert answer.status_code == 200, answer.text
    assert "Geheimwort" not in answer.text
    sealed = await house.cove.parts.store.package(answer.json()[0]["jobId"])
    assert b"Geheimwort" not in sealed
    login = unpack(house.cove.vault.unseal(sealed)).container.login
    assert login is not None
    assert (login.username, login.password) == ("ann", "Geheimwort")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("not hex", "hexadecimal"),
        ("0x" + "ab" * 200, "was not encrypted to this provider's key"),
        ({"username": "ann"}, "a username and a password, or auth"),
        ([], "a JSON object"),
    ],
)
async def test_what_is_no_login_is_a_400_that_says_why(house: House, given: object, sentence: str) -> None:
    trade = await open_trade(house)
    sent = given if isinstance(given, str) else house.cove.vault.encrypt(json.dumps(given).encode()).hex()
    answer = await trade.start("0x" + "1" * 64, **{FIELD: sent})
    assert answer.status_code == 400
    assert sentence in answer.json()["errors"][FIELD][0]
