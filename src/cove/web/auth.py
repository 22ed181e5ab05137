"""Who asks: form, then signature, then the nonce in one atomic write, before any work is done."""

from __future__ import annotations

from urllib.parse import unquote

from cove.core.errors import BadSignature, Invalid
from cove.core.messages import parse_address, parse_nonce
from cove.crypto.keys import checksum, verify_text
from cove.wiring import Cove


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


async def prove(cove: Cove, given: str, message: str, nonce: str, signature: str) -> str:
    """See that an account signed a message, and take its nonce; give the account, checksummed.

    A request that fails here never changes the nonce, so nobody can lock another account out.

    Args:
        cove: The house.
        given: The address as it was sent.
        message: The text that the signature covers, nonce included.
        nonce: As it was sent.
        signature: ``0x`` hex.

    Raises:
        BadSignature: The signature is not the account's, or the nonce was used before.
    """
    account = address(given)
    parsed = parse_nonce(nonce)
    if len(signature) > 1000 or not verify_text(message, signature, account):  # noqa: PLR2004 - no signature is longer
        raise BadSignature("Invalid signature provided.", hint="Sign the text of the endpoint, then the nonce.")
    if not await cove.nonces.use(account, parsed):
        raise BadSignature(
            "Invalid signature provided, nonce was used before.", hint="Ask nonce for the last one, and use a greater."
        )
    return account
