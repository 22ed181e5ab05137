"""Auth tokens: a consumer's proof for a time, in place of a signature on every request (JWT, HS256).

A token names the account that it is good for, the time at which it ends, and itself, so that each can be taken back
alone: two tokens for one account and one time are two.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import jwt

from cove.core.errors import BadSignature
from cove.ports import Vault

_ALGORITHM: Final = "HS256"
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a genuine token says."""

    #: Checksummed address of the account that it is good for.
    address: str
    #: Unix time.
    expires: int
    id: str


class Tokens:
    """Makes and reads tokens; whether one was taken back is not known here.

    Args:
        vault: The provider's key, from which the tokens' own key is derived.
    """

    def __init__(self, vault: Vault) -> None:
        self._key = bytes.fromhex(vault.mac(b"auth tokens, 1"))

    def make(self, address: str, expires: int, *, without_nonce: bool = False) -> str:
        """Make a token.

        Args:
            address: Checksummed.
            expires: Unix time.
            without_nonce: True: whoever sends it need send no nonce beside it.
        """
        claims = {"address": address, "exp": expires, "jti": secrets.token_hex(16)}
        if without_nonce:
            claims["nonce"] = False
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def needs_no_nonce(self, token: str) -> bool:
        """Say whether a text is a token of this provider's that is good without a nonce; nothing else is looked at."""
        if not token:
            return False
        try:
            claims = jwt.decode(token[:_LONGEST], self._key, algorithms=[_ALGORITHM], options={"verify_exp": False})
        except (jwt.InvalidTokenError, UnicodeError):
            return False
        return claims.get("nonce") is False

    def read(self, token: str, now: float) -> TokenFacts:
        """Read a token that this provider made.

        Args:
            token: As it was sent.
            now: Unix time.

        Raises:
            BadSignature: ``Token is invalid.`` or ``Token is expired.``
        """
        try:
            # PyJWT would compare with its own clock; the time is compared below, with ours.
            claims = jwt.decode(
                token[:_LONGEST],
                self._key,
                algorithms=[_ALGORITHM],
                options={"verify_exp": False, "require": ["exp", "address", "jti"]},
            )
        except (jwt.InvalidTokenError, UnicodeError):
            raise BadSignature("Token is invalid.", hint="Make a new one with createAuthToken.") from None
        facts = TokenFacts(str(claims["address"]), int(claims["exp"]), str(claims["jti"]))
        if now >= facts.expires:
            raise BadSignature("Token is expired.", hint="Make a new one with createAuthToken.")
        return facts
