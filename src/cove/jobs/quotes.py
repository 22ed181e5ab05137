"""What a job would cost now: the provider's fee for an environment, signed, and the orders that are still good."""

from __future__ import annotations

from cove.core.consent import Action
from cove.core.environment import Environment
from cove.core.errors import Refused
from cove.core.fees import SignedFee, fee_amount, packed_fee, provider_data
from cove.jobs import elsewhere, mocking, policing
from cove.jobs.admission import Admitted, admit, environment_of
from cove.jobs.consent import consent_to_job
from cove.jobs.entry import check_image, let_in
from cove.jobs.orders import Priced, pays, verify
from cove.jobs.parts import Parts
from cove.jobs.requests import Quote, QuoteRequest

_NO_TOKEN = "0x" + "0" * 40


async def quote(parts: Parts, request: QuoteRequest) -> tuple[tuple[Quote, ...], Quote | None]:
    """Give what each item still needs; exactly one of them carries the environment's fee, the rest zero.

    Raises:
        Refused: The period, the environment, the image or an asset is not good, or the environment, or a dataset, is
            for others.
        Invalid: The site's policy says no.
        Forbidden: The site's policy says no.
        Unavailable: The chain, or the site's policy, does not answer.
    """
    environment = environment_of(parts, request.environment)
    await let_in(parts, environment, request.consumer)
    seconds = request.valid_until - int(parts.clock.now())
    if not 0 < seconds <= environment.resources.time_seconds + 86_400:
        raise Refused(
            "compute.validUntil",
            "The validUntil value is not correct.",
            hint=f"Give a Unix time up to {environment.resources.time_seconds} seconds ahead.",
        )
    admitted = await admit(
        parts,
        request.consumer,
        request.datasets,
        request.algorithm,
        request.raw,
        starting=False,
        mock=request.mock,
    )
    check_image(environment, admitted.package.container)
    if not request.mock:
        await policing.check_runs(parts, request.consumer, admitted.ruled)
    await consent_to_job(parts, Action.INITIALIZE_COMPUTE, request.consumer, admitted, request.passed_on)
    if request.mock:
        return await _mock_quotes(parts, request, environment, admitted)
    paid = [await _paid(parts, request.consumer, item, environment) for item in admitted.items]
    return await _quotes(parts, request, environment, admitted, paid)


async def _mock_quotes(
    parts: Parts, request: QuoteRequest, environment: Environment, admitted: Admitted
) -> tuple[tuple[Quote, ...], Quote | None]:
    """Give what a mock job needs: nothing, but an order of an algorithm whose owner wants one all the same."""
    datasets = tuple(Quote(item.service.datatoken, None, None) for item in admitted.datasets)
    item = admitted.algorithm
    if item is None:
        return datasets, None
    if await mocking.is_free(parts, request.consumer, item):
        return datasets, Quote(item.service.datatoken, None, None)
    ordered, _ = await _paid(parts, request.consumer, item, environment)
    fee = None if ordered else await signed_fee(parts, environment, item, request.valid_until, charged=False)
    return datasets, Quote(item.service.datatoken, fee, item.order_tx if ordered else None)


async def _quotes(
    parts: Parts, request: QuoteRequest, environment: Environment, admitted: Admitted, paid: list[tuple[bool, bool]]
) -> tuple[tuple[Quote, ...], Quote | None]:
    carrier = None if any(fee for _, fee in paid) else _carrier(admitted, paid)
    quotes: list[Quote] = []
    for position, (item, (ordered, _)) in enumerate(zip(admitted.items, paid, strict=True)):
        needs_fee = position == carrier
        if ordered and not needs_fee:
            quotes.append(Quote(item.service.datatoken, None, item.order_tx))
            continue
        if item.elsewhere:
            given = admitted.inputs[position]
            fee = await elsewhere.fee_of(parts, item, given, request.valid_until)
            quotes.append(Quote(item.service.datatoken, fee, None))
            continue
        fee = await signed_fee(parts, environment, item, request.valid_until, charged=needs_fee)
        quotes.append(Quote(item.service.datatoken, fee, item.order_tx if ordered else None))
    if admitted.algorithm is None:
        return tuple(quotes), None
    return tuple(quotes[:-1]), quotes[-1]


def _carrier(admitted: Admitted, paid: list[tuple[bool, bool]]) -> int:
    """Choose who carries the fee: the first of ours that must be ordered anyway, else the first (as a reuse)."""
    ours = [(position, ordered) for position, (ordered, _) in enumerate(paid) if not admitted.items[position].elsewhere]
    return next((position for position, ordered in ours if not ordered), 0)


async def _paid(parts: Parts, consumer: str, item: Priced, environment: Environment) -> tuple[bool, bool]:
    """Say whether an item's order is good, and whether its fee still pays for the environment."""
    if not item.order_tx:
        return False, False
    try:
        await verify(parts, consumer, item, None)
    except Refused:
        return False, False
    if item.elsewhere:
        return True, False
    try:
        order = await verify(parts, consumer, item, environment)
    except Refused:
        return True, False
    return True, await pays(parts, item, order, environment)


async def signed_fee(
    parts: Parts, environment: Environment, item: Priced, valid_until: int, *, charged: bool
) -> SignedFee:
    """Sign what an order of this item must pay."""
    now = parts.clock.now()
    chain = item.asset.chain_id
    amount = 0
    if charged and environment.price_per_minute and parts.ledgers[chain].charges_fees:
        decimals = await parts.ledgers[chain].token_decimals(environment.fee_token(chain))
        amount = fee_amount(valid_until - int(now), environment.price_per_minute, decimals)
    data = provider_data(environment.id, now, item.service.datatoken, item.service.id)
    return _signed(parts, environment.fee_token(chain), amount, data, valid_until)


async def signed_access_fee(parts: Parts, item: Priced, valid_until: int) -> SignedFee:
    """Sign what an order of an access service must pay to the provider: nothing, but signed all the same."""
    data = provider_data(None, parts.clock.now(), item.service.datatoken, item.service.id)
    return _signed(parts, _NO_TOKEN, 0, data, valid_until)


def _signed(parts: Parts, token: str, amount: int, data: bytes, valid_until: int) -> SignedFee:
    v, r, s = parts.vault.sign_hash(parts.keccak(packed_fee(data, parts.vault.address, token, amount, valid_until)))
    return SignedFee(parts.vault.address, token, amount, data, v, r, s, valid_until)
