"""The order of nonces: decimal numbers as text, compared by value (section 2 of the API specification)."""

from __future__ import annotations

import re
from typing import Final

WHOLE_DIGITS: Final = 40
FRACTION_DIGITS: Final = 20

_FORM: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)


def nonce_sort_key(text: str) -> str:
    """Give a text that sorts, byte by byte, as the nonce does by value.

    It has 40 digits before the point and 20 after it, zero-padded, so that ``5``, ``05`` and ``5.0`` are one nonce.

    Args:
        text: Digits, or digits with a point and further digits.

    Raises:
        ValueError: It has another form, or more digits than the key holds; it is never cut short.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("a nonce is a decimal number without a sign or an exponent")
    whole = match[1].lstrip("0")
    fraction = (match[2] or "").rstrip("0")
    if len(whole) > WHOLE_DIGITS or len(fraction) > FRACTION_DIGITS:
        raise ValueError(f"a nonce has at most {WHOLE_DIGITS} digits before the point and {FRACTION_DIGITS} after it")
    return f"{whole.rjust(WHOLE_DIGITS, '0')}.{fraction.ljust(FRACTION_DIGITS, '0')}"
