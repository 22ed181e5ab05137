"""Who asks: form, then signature or token, then the nonce in one atomic write, before any work is done."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from cove.access.limits import Limits
from cove.core import messages
from cove.core.errors import BadSignature, Invalid, Unavailable
from cove.core.messages import parse_address, parse_nonce
from cove.crypto.keys import checksum, parse_signature, verify_text
from cove.web.callers import client_of
from cove.web.errors import on_cove_error
from cove.wiring.house import Cove

_PROVES: Final = "cove.proves"

_LONGEST_SIGNATURE: Final = 2 * 4096 + 2
"""Hex digits of the longest signature that a contract wallet may be asked about."""


def address(given: str | None, field: str = "consumerAddress") -> str:
    """Give an address, checksummed.

    Raises:
        Invalid: It is missing or malformed.
    """
    if not given:
        raise Invalid({field: [f"The {field} field is required."]})
    return checksum(parse_address(given, field))


def signed_did(given: str | None) -> str:
    """Give a DID as it stands in a signed text: as it was sent, and clients sign it before they escape it."""
    return unquote(given or "")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request brings to show whose it is; a signature, where there is one, is what counts."""

    #: ``0x`` hex; empty for none.
    signature: str
    #: Empty for none, and where a token may not stand for a signature.
    token: str = ""
    #: Whether the token is one that needs no nonce, and there is no signature.
    without_nonce: bool = False

    def needed(self, field: str = "consumerAddress") -> tuple[str, ...]:
        """Name the fields that the request must have: a token stands for the signature, and most for nothing else."""
        if self.without_nonce:
            return (field,)
        return (field, "nonce") if self.token else (field, "signature", "nonce")


def proof_of(house: Cove, request: Request, signature: str | None, *, token: bool = True) -> Proof:
    """Give a request's proof; a token comes in ``AuthToken``, or in ``Authorization`` with or without ``Bearer``.

    Credentials of another scheme (a proxy's ``Basic``) are none.

    Args:
        house: The house.
        request: The request.
        signature: As it was sent; None or empty for none.
        token: False where a token may not stand for a signature.

    Raises:
        RateLimited: Too many proofs of this client were wrong.
    """
    sent = _token(request) if token else ""
    proof = Proof(signature or "", sent, without_nonce=not signature and house.tokens.needs_no_nonce(sent))
    if proof.signature or proof.token:
        house.limits.may_prove(client_of(request))
        request.scope[_PROVES] = True
    return proof


def count_failures(limits: Limits) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """Give the answer to a wrong proof, which counts it; a request that brought none is answered alone."""

    async def on_bad_signature(request: Request, problem: Exception) -> Response:
        if _PROVES in request.scope:
            limits.failed(client_of(request))
        return await on_cove_error(request, problem)

    return on_bad_signature


def _token(request: Request) -> str:
    given = request.headers.get("authtoken") or request.headers.get("authorization") or ""
    words = given.split()
    if len(words) == 2 and words[0].lower() == "bearer":  # noqa: PLR2004 - scheme and token
        words = words[1:]
    return words[0] if len(words) == 1 else ""


def nonce_of(proof: Proof, given: str | None) -> str:
    """Give a request's nonce as it was sent; empty where it has none and needs none.

    Raises:
        Invalid: It is missing or malformed.
    """
    return "" if proof.without_nonce and not given else parse_nonce(given)


async def prove(cove: Cove, given: str, message: str, nonce: str, proof: Proof, *, command: str = "") -> str:
    """See that an account signed a message, or sent its token, and take its nonce; give the account, checksummed.

    A request that fails here never changes the nonce, so nobody can lock another account out.

    Args:
        cove: The house.
        given: The address as it was sent.
        message: The text that the signature covers, nonce included.
        nonce: As it was sent.
        proof: Of :func:`proof_of`.
        command: What clients of Ocean Node's API sign in the message's place, of ``core.messages``; empty for nothing.

    Raises:
        BadSignature: The proof is not the account's, or the nonce was used before.
        RateLimited: The account asks too often; its nonce is not taken.
        Unavailable: A contract wallet's chain does not answer.
    """
    account = address(given)
    parsed = nonce_of(proof, nonce)
    if proof.signature or not proof.token:
        texts = (message, messages.command(given, parsed, command)) if command else (message,)
        await _check_signature(cove, account, texts, proof.signature)
    else:
        await _check_token(cove, account, proof.token)
    if parsed:
        await take_nonce(cove, account, parsed)
    else:
        cove.limits.may_ask(account)
        cove.limits.asked(account)
    return account


async def take_nonce(cove: Cove, account: str, nonce: str) -> None:
    """Use a nonce up, which counts as a request of the account: it must have proven itself.

    Raises:
        BadSignature: It was used before.
        RateLimited: The account asks too often; the nonce is not taken.
    """
    cove.limits.may_ask(account)
    if not await cove.nonces.use(account, nonce):
        raise BadSignature(
            "Invalid signature provided, nonce was used before.", hint="Ask nonce for the last one, and use a greater."
        )
    cove.limits.asked(account)


async def _check_signature(cove: Cove, account: str, texts: Sequence[str], signature: str) -> None:
    if len(signature) <= _LONGEST_SIGNATURE:
        if any(verify_text(message, signature, account) for message in texts):
            return
        try:
            for message in texts:
                if await cove.wallets.signed(account, message, signature):
                    return
        except Unavailable:
            # A wrong signature of the usual form is most probably no wallet's: that needs no chain to be said.
            if parse_signature(signature) is None:
                raise
    raise BadSignature("Invalid signature provided.", hint="Sign the text of the endpoint, then the nonce.")


async def _check_token(cove: Cove, account: str, token: str) -> None:
    facts = cove.tokens.read(token, cove.clock.now())
    if facts.address.lower() != account.lower():
        raise BadSignature("Token is invalid.", hint="A token is good for the account that made it alone.")
    if await cove.revoked.is_revoked(facts.id):
        raise BadSignature("Token is deleted.", hint="Make a new one with createAuthToken.")


async def last_nonce(cove: Cove, account: str) -> str:
    """Give the last nonce that an account used, for whoever signs the next; 0 when it used none.

    Not null: ocean.py and ocean.js 2.x fail on it.
    """
    return await cove.nonces.last(account) or "0"


async def prove_without_nonce(cove: Cove, given: str, texts: Iterable[str], signature: str) -> str:
    """Prove a stop or a delete of one job whose sender sent no nonce, as ocean.js does; give the account, checksummed.

    Its releases sign the next nonce (3.x) or the last one (2.x) and leave it out of the body. Either is tried, and the
    account's nonce is moved on by a fraction beyond it, so that the same request works once.

    Args:
        cove: The house.
        given: The address as it was sent.
        texts: What may have been signed, without the nonce at its end.
        signature: ``0x`` hex.

    Raises:
        BadSignature: The signature is not the account's over one of these texts and nonces.
    """
    account = address(given)
    last = await cove.nonces.last(account)
    for text, nonce in itertools.product(texts, messages.unsent_nonces(last)):
        if verify_text(f"{text}{nonce.signed}", signature, account):
            await take_nonce(cove, account, nonce.taken)
            return account
    raise BadSignature("Invalid signature provided.", hint="Send the nonce that the signature covers.")
