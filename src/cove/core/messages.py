"""Exactly which text each endpoint's signature covers, and the forms of what stands in it (section 2 of the API).

Every text is the concatenation of its parts as they were sent, then the nonce. An absent part is the empty text.
Addresses, DIDs and ids stand in the text exactly as the client wrote them, in its own case; the parsed values of this
module are for comparing and looking up. Some endpoints share one text (stop, delete, status and logs of a job), as
their clients do: what keeps a signature from being used twice is the nonce alone, which all endpoints share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import unquote

from cove.core.errors import Invalid
from cove.core.job import JobId
from cove.core.nonce import FRACTION_DIGITS, WHOLE_DIGITS, nonce_sort_key

__all__ = [
    "command",
    "compute_result",
    "decrypt",
    "delete_compute",
    "download",
    "logs",
    "nonce_sort_key",
    "parse_address",
    "parse_did",
    "parse_job_id",
    "parse_nonce",
    "parse_tx",
    "review_vote",
    "reviews",
    "start_compute",
    "status",
    "stop_compute",
    "token",
    "unsent_nonces",
]

_NONCE: Final = re.compile(rf"[0-9]{{1,{WHOLE_DIGITS}}}(?:\.[0-9]{{1,{FRACTION_DIGITS}}})?", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_DID: Final = re.compile(r"did:op:[0-9a-fA-F]{64}", re.ASCII)
_JOB_ID: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,64}-)?[0-9a-fA-F]{32}", re.ASCII)
_ID_DIGITS: Final = 32
_TX: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}", re.ASCII)
_LONGEST: Final = 400

START: Final = "startCompute"
FREE_START: Final = "freeStartCompute"
STOP: Final = "stopCompute"
RESULT: Final = "getComputeResult"
LOGS: Final = "getComputeStreamableLogs"
DOWNLOAD: Final = "download"
ENCRYPT: Final = "encrypt"
CREATE_TOKEN: Final = "createAuthToken"  # noqa: S105 - the word that is signed
INVALIDATE_TOKEN: Final = "invalidateAuthToken"  # noqa: S105 - likewise
"""Names of commands, as they stand in signed texts of Ocean Node's API."""

_LARGEST_OF_CLIENTS: Final = 2**52 - 2
"""Above it a double, in which ocean.js counts, has no halves."""
_STEP: Final = 0.5
"""So far the nonce is moved on: neither it nor the next one is then what was signed, so nothing works twice."""


def start_compute(consumer: str, job_id: str, document_id: str, nonce: str) -> str:
    """Give the text of ``POST compute``; ``job_id`` is empty for a new job, ``document_id`` is the main dataset's."""
    return f"{consumer}{job_id}{document_id}{nonce}"


def stop_compute(consumer: str, job_id: str, document_id: str, nonce: str) -> str:
    """Give the text of ``PUT compute``."""
    return f"{consumer}{job_id}{document_id}{nonce}"


def delete_compute(consumer: str, job_id: str, document_id: str, nonce: str) -> str:
    """Give the text of ``DELETE compute``."""
    return f"{consumer}{job_id}{document_id}{nonce}"


def status(consumer: str, job_id: str, document_id: str, nonce: str) -> str:
    """Give the text of a signed ``GET compute``."""
    return f"{consumer}{job_id}{document_id}{nonce}"


def logs(consumer: str, job_id: str, document_id: str, nonce: str) -> str:
    """Give the text of ``GET computeLogs``: the same as to stop, with an empty document where none is sent."""
    return f"{consumer}{job_id}{document_id}{nonce}"


def compute_result(consumer: str, job_id: str, index: str, nonce: str) -> str:
    """Give the text of ``GET computeResult``; ``index`` is the text that was sent."""
    return f"{consumer}{job_id}{index}{nonce}"


def compute_logs(consumer: str, job_id: str, nonce: str) -> str:
    """Give the text of ``GET computeLogs``."""
    return f"{consumer}{job_id}{nonce}"


def reviews(reviewer: str, job_id: str, file: str, nonce: str) -> str:
    """Give the text of ``GET reviews`` and ``GET reviewFile``; job and file are empty where none is named."""
    return f"{reviewer}reviews{job_id}{file}{nonce}"


def review_vote(  # noqa: PLR0917 - every part once, in the order of the text
    reviewer: str, job_id: str, file: str, sha256: str, decision: str, reason: str, *, nonce: str
) -> str:
    """Give the text of ``POST reviewVote``; the line feed keeps digits of the reason from being those of the nonce."""
    return f"{reviewer}reviewVote{job_id}{file}{sha256}{decision}{reason}\n{nonce}"


def download(document_id: str, nonce: str) -> str:
    """Give the text of ``GET download``, which holds no address."""
    return f"{document_id}{nonce}"


def decrypt(transaction_id: str, nft: str, decrypter: str, chain_id: str, nonce: str) -> str:
    """Give the text of ``POST decrypt``: the transaction, or the NFT's address where no transaction is sent."""
    return f"{transaction_id or nft}{decrypter}{chain_id}{nonce}"


def token(address: str, nonce: str) -> str:
    """Give the text of ``createAuthToken`` and ``deleteAuthToken``."""
    return f"{address}{nonce}"


def command(consumer: str, nonce: str, name: str) -> str:
    """Give what clients of Ocean Node's API sign: no command's text says more than its name.

    No text above can be one of these: those end with the nonce.
    """
    return f"{consumer}{nonce}{name}"


def parse_nonce(value: object) -> str:
    """Give a nonce as the text that was sent, which is the text that was signed.

    Args:
        value: Decimal text (``5``, ``1700000000000.5``), or a JSON number read as int or Decimal. A float has lost the
            digits that were signed, so it is refused.

    Raises:
        Invalid: It has a sign, an exponent, other characters than ASCII digits and one point, or too many digits.
    """
    if value is None or value == "":
        raise Invalid({"nonce": ["The nonce field is required."]})
    text = _number_text(value)
    if text is None or _NONCE.fullmatch(text) is None:
        wanted = f"a decimal number of at most {WHOLE_DIGITS} digits before the point and {FRACTION_DIGITS} after it"
        raise Invalid({"nonce": [f"The nonce must be {wanted}, without a sign or an exponent."]})
    return text


@dataclass(frozen=True, slots=True)
class UnsentNonce:
    """A nonce that a client may have signed and not sent."""

    #: The text that the signature covers.
    signed: str
    #: What to take for it: greater than every nonce used before.
    taken: str


def unsent_nonces(last: str | None) -> tuple[UnsentNonce, ...]:
    """Give the nonces that ocean.js signs where it sends none: the next whole number (3.x), or the last one (2.x).

    Args:
        last: The last nonce that the account used, as text; None for none.
    """
    number = float(last or "0")
    if number > _LARGEST_OF_CLIENTS:
        return ()
    signed = (number + 1,) if last is None else (number + 1, number)
    return tuple(UnsentNonce(_as_clients_write(one), _as_clients_write(one + _STEP)) for one in signed)


def _as_clients_write(number: float) -> str:
    """Write a number as JavaScript does: both languages give the shortest text that reads back as the same double."""
    return str(int(number)) if number.is_integer() else repr(number)


def parse_address(value: object, field: str) -> str:
    """Give an Ethereum address as it was sent; its case is not checked, since addresses are compared by value.

    Raises:
        Invalid: It is not ``0x`` and 40 hex digits; the error stands under ``field``.
    """
    return _matched(value, field, _ADDRESS, "an Ethereum address: 0x and 40 hexadecimal digits")


def parse_did(value: object, field: str = "documentId") -> str:
    """Give a DID with ``:`` and lower-case digits; ``did%3Aop%3A..`` is the same as ``did:op:..``.

    Raises:
        Invalid: It is not ``did:op:`` and 64 hex digits; the error stands under ``field``.
    """
    text = unquote(value) if isinstance(value, str) and len(value) < _LONGEST else value
    return _matched(text, field, _DID, "a DID: did:op: and 64 hexadecimal digits").lower()


def parse_job_id(value: object, field: str = "jobId") -> JobId:
    """Give a job's id in lower case, without the environment's name that ids of Ocean Node's API begin with.

    Raises:
        Invalid: It does not end with 32 hex digits; the error stands under ``field``.
    """
    return JobId(_matched(value, field, _JOB_ID, "a job id: 32 hexadecimal digits")[-_ID_DIGITS:].lower())


def parse_tx(value: object, field: str) -> str:
    """Give a transaction's id with ``0x`` and in lower case; agreement ids come without ``0x``.

    Raises:
        Invalid: It is not 64 hex digits; the error stands under ``field``.
    """
    text = _matched(value, field, _TX, "a transaction id: 0x and 64 hexadecimal digits").lower()
    return "0x" + text.removeprefix("0x")


def _number_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**WHOLE_DIGITS:
        return str(value)
    return None


def _matched(value: object, field: str, form: re.Pattern[str], wanted: str) -> str:
    if value is None or value == "":
        raise Invalid({field: [f"The {field} field is required."]})
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise Invalid({field: [f"The {field} field must be {wanted}."]})
    return value
