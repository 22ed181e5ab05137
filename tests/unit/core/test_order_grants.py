"""Which grants are good orders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cove.core.errors import Refused
from cove.core.order import ONE_DATATOKEN, GrantFacts, OrderStarted, OrderTerms, Receipt, check

DATATOKEN, PROVIDER, USER, OWNER, STRANGER = ("0x" + digit * 40 for digit in "a1235")
MADE = 1_000_000
ENDS = MADE + 100_000
FACTS = GrantFacts(OWNER, OWNER, MADE, ENDS, runs=2, used=1, revoked=False)
STARTED = OrderStarted(DATATOKEN, 0, USER, USER, ONE_DATATOKEN, 1, MADE)
RECEIPT = Receipt("0x" + "0f" * 32, True, 0, MADE, 1, OWNER, orders=(STARTED,), grant=FACTS)  # noqa: FBT003
TERMS = OrderTerms(DATATOKEN, "service", 1, 60, USER, PROVIDER, "env")


def test_a_grant_pays_for_any_environment_until_it_ends() -> None:
    order = check(RECEIPT, TERMS, ENDS)
    assert (order.granted, order.consumer, order.fee_amount) == (True, USER, 0)
    assert (order.valid_until, order.fee_valid_until, order.fee_seconds) == (ENDS, ENDS, 100_000)
    assert check(RECEIPT, replace(TERMS, environment=None, fee_token="0x" + "7" * 40), MADE).granted


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(FACTS, signer=STRANGER), "not signed"),
        (replace(FACTS, signer=""), "not signed"),
        (replace(FACTS, signer="", owner=""), "not signed"),
        (replace(FACTS, owner=STRANGER), "not signed"),
        (replace(FACTS, revoked=True), "taken back"),
        (replace(FACTS, used=2), "used up"),
        (replace(FACTS, used=3), "used up"),
        (replace(FACTS, valid_until=MADE + 4), "expired"),
    ],
)
def test_what_is_not_good(facts: GrantFacts, said: str) -> None:
    with pytest.raises(Refused) as caught:
        check(replace(RECEIPT, grant=facts), TERMS, MADE + 5)
    assert caught.value.reason == "order_invalid"
    assert said in (caught.value.hint or "")


@pytest.mark.parametrize(
    "terms",
    [
        replace(TERMS, consumer=STRANGER),
        replace(TERMS, datatoken=STRANGER),
        replace(TERMS, service_index=0),
        replace(TERMS, holder=PROVIDER),
    ],
)
def test_a_grant_is_for_one_consumer_and_one_service(terms: OrderTerms) -> None:
    with pytest.raises(Refused) as caught:
        check(RECEIPT, terms, MADE)
    assert "another service or consumer" in (caught.value.hint or "")
