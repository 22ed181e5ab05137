"""Keys in forms that other programs write: keystores, and words. Slow to import, and used by few commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from eth_account import Account

from cove.client.errors import KeyMissing
from cove.client.signing import Signer

_RECURSION_LIMIT: Final = 1000
# Python's own default. eth_account's py_ecc raises it to 100,000 for the whole process, and then a server's JSON nested
# deep enough overflows the C stack and ends the process, where it should be a RecursionError.
sys.setrecursionlimit(_RECURSION_LIMIT)


def from_keystore(stored: Mapping[str, object], password: str, name: str) -> Signer:
    """Open a keystore (V3 JSON).

    Args:
        stored: What is in it.
        password: Its password.
        name: What it is called in texts.

    Raises:
        KeyMissing: It is none, or its password is another one.
    """
    try:
        secret = Account.decrypt(dict(stored), password)
    except ValueError as problem:
        wrong = "mac" in str(problem).lower()
        text = "its password is another one" if wrong else "it is no keystore of version 3"
        raise KeyMissing(f"The keystore {name} does not open: {text}.") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise KeyMissing(f"The keystore {name} does not open: it is no keystore of version 3.") from None
    return Signer(bytes(secret).hex())


def key_of_words(words: str, number: int) -> str:
    """Give the private key of an account of a mnemonic, on the usual path, ``0x`` hex."""
    Account.enable_unaudited_hdwallet_features()
    return str(Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{number}").key.to_0x_hex())
