"""Reads ``output`` of a start: in clear, or encrypted to the provider's key as a whole."""

from __future__ import annotations

import json
from typing import Any

from cove.core import json_form
from cove.core.errors import Invalid
from cove.core.output import FIELD, Output
from cove.core.output_form import parse_output
from cove.crypto.streams import is_public_key
from cove.ports import Vault

_MAX_BYTES = 256 << 10


def output_of(vault: Vault, given: dict[str, Any] | str | None) -> Output | None:
    """Give what a consumer wants done with results; None for nothing beyond keeping them here.

    Args:
        vault: Opens what was encrypted.
        given: JSON object, or ``0x`` hex of one that is encrypted.

    Raises:
        Invalid: It cannot be opened, or a part of it is malformed; nothing of it is quoted.
    """
    if not given:
        return None
    output = parse_output(_opened(vault, given) if isinstance(given, str) else given)
    storage = None if output is None else output.storage
    if storage is not None and storage.public_key and not is_public_key(storage.public_key):
        raise json_form.wrong(f"{FIELD}.encryption.key", "a public key of secp256k1: this is no point of the curve")
    return output


def _opened(vault: Vault, given: str) -> dict[str, Any]:
    try:
        plain = vault.decrypt(bytes.fromhex(given.removeprefix("0x")))
    except ValueError:
        raise Invalid({FIELD: [f"The {FIELD} should be a JSON object, or hexadecimal."]}) from None
    except Invalid:
        raise Invalid({FIELD: [f"The {FIELD} was not encrypted to this provider's key."]}) from None
    try:
        found = json.loads(plain) if len(plain) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid({FIELD: [f"The {FIELD} should hold a JSON object."]})
    return found
