"""Services of other providers: which may be fetched from there, what is asked, and what the answers mean.

The job's data is then brought with the environment's own account, which is this provider's: the order names it as the
consumer, and its signature over DID and nonce opens the files (section 4 of the API, ``download``). That signature says
neither which provider nor which service it is meant for, so whoever receives it can send it elsewhere. Three rules keep
it harmless:

- this provider gives nothing to its own account (``web/routes/download.py``), so a signature that comes back is worth
  nothing here;
- it is made only where all services of the asset that give files away lie at one provider, or here
  (:func:`check_one_provider`), so no further provider holds files that it would open;
- its nonce comes from this host's clock, and another provider moves it by an hour at the most (:func:`next_nonce`), so
  that nobody can use up the nonces of this account elsewhere.

What other providers answer is hostile: its size is bounded before it comes here, and none of it is quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from cove.core import json_form
from cove.core.asset import Asset, Service
from cove.core.errors import Refused
from cove.core.fees import SignedFee
from cove.core.filelist import MAX_FILES
from cove.core.files import FileFacts, PeerFile
from cove.core.messages import parse_address, parse_nonce
from cove.core.weburl import WebUrl, parse_url

MAX_PEER_SERVICES: Final = 20
"""Services of other providers in one request: each may cost calls to its provider."""
NONCE_SKEW: Final = 3600 * 10**6
"""Microseconds that another provider's last nonce of our account may lie ahead of our clock."""

_API: Final = "/api/services"
_NOT_OURS: Final = "compute_services_not_in_same_provider"
_PORTS: Final = {"http": 80, "https": 443}
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2}){0,4096}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,78}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_TIME: Final = 2**53 - 1
_LONGEST_NAME: Final = 255
_WORD_BYTES: Final = 32


def base_of(endpoint: str) -> str:
    """Give the base URL that a ``serviceEndpoint`` names, without ``/`` at its end.

    Raises:
        ValueError: It is none; the text says what it should be.
    """
    if "?" in endpoint or "#" in endpoint:
        raise ValueError("a URL without a query and a fragment")
    url = parse_url(endpoint)
    return f"{url.scheme}://{url.authority}{url.target}".rstrip("/")


def same_place(one: str, other: str) -> bool:
    """Say whether two base URLs are one place, by http or https; False where one is none."""
    place = _place(one)
    return place is not None and place == _place(other)


def check_fetchable(asset: Asset, service: Service, place: str, *, own: str, ours: Collection[str], main: bool) -> str:
    """Give the base URL of the other provider that a service is to be fetched from.

    Args:
        asset: Whose service it is; its file list is encrypted to another key than this provider's.
        service: Which one.
        place: Dotted field of the request that names the service.
        own: Base URL of this provider; empty when unknown.
        ours: Ids of the asset's services whose file lists are encrypted to this provider.
        main: True for the dataset that the job is about, which must be this provider's.

    Raises:
        Refused: Under ``place``, with the reason.
    """
    if main or service.type != "access":
        hint = "It is encrypted to another provider's key. Only algorithms and further datasets with an access service"
        raise Refused(place, _NOT_OURS, hint=f"{hint} may be at another provider.")
    try:
        base = base_of(service.endpoint)
    except ValueError as problem:
        raise Refused(place, "service_endpoint_invalid", hint=f"The serviceEndpoint must be {problem}.") from None
    if same_place(base, own):
        raise Refused(place, _NOT_OURS, hint="The service names this provider, and its files are not encrypted to it.")
    check_one_provider(asset, base, place, ours=ours)
    return base


def check_one_provider(asset: Asset, base: str, place: str, *, ours: Collection[str]) -> None:
    """Return when no further provider gives files of an asset away.

    A download is signed for the asset, not for the service: what one provider is sent, it could send to the next.

    Raises:
        Refused: ``services_at_several_providers``, under ``place``.
    """
    for service in asset.services:
        if service.type == "access" and service.id not in ours and not same_place(service.endpoint, base):
            hint = "The asset has access services at several other providers; such an asset is not fetched."
            raise Refused(place, "services_at_several_providers", hint=hint)


def next_nonce(clock: int, last: int, told: int) -> int | None:
    """Give the nonce to sign with; None where the other provider claims one that no clock has reached.

    Microseconds: several downloads in a millisecond are told apart, and the number is still exact in the doubles that
    older providers keep (2**53 microseconds are reached in the year 2255).

    Args:
        clock: Unix time in microseconds.
        last: The greatest nonce that this process has signed with; 0 for none.
        told: The greatest that the other provider says it has seen; 0 for none.
    """
    return None if told > clock + NONCE_SKEW else max(clock, last + 1, told + 1)


def nonce_url(provider: str, account: str) -> WebUrl:
    """Give where a provider says the last nonce of an account."""
    return _url(provider, "nonce", {"userAddress": account})


def fileinfo_url(provider: str) -> WebUrl:
    """Give where a provider describes the files of a service."""
    return _url(provider, "fileinfo", {})


def initialize_url(provider: str, did: str, service_id: str, *, account: str, until: int, userdata: str) -> WebUrl:
    """Give where a provider quotes an order of an access service.

    Args:
        provider: Its base URL.
        did: Of the asset.
        service_id: Of the service.
        account: Who will be the order's consumer.
        until: Unix time until which the fee shall hold.
        userdata: JSON object of the consumer's parameters; ``{}`` for none.
    """
    asked = {"documentId": did, "serviceId": service_id, "fileIndex": "0", "consumerAddress": account}
    return _url(provider, "initialize", {**asked, "validUntil": str(until), **_userdata(userdata)})


def download_url(file: PeerFile, *, account: str, nonce: int, signature: str) -> WebUrl:
    """Give where a provider sends a file to an account that signed for it."""
    return _url(file.provider, "download", {
        "fileIndex": str(file.index),
        "documentId": file.did,
        "transferTxId": file.order_tx,
        "serviceId": file.service_id,
        "consumerAddress": account,
        "nonce": str(nonce),
        "signature": signature,
        **_userdata(file.userdata),
    })  # fmt: skip


def read_nonce(answer: object) -> int:
    """Give the last nonce in an answer, rounded up to a whole number; 0 for none.

    Raises:
        Invalid: It is no such answer.
    """
    told = json_form.mapping(answer, "answer").get("nonce")
    if isinstance(told, float) and math.isfinite(told) and told >= 0:
        return math.ceil(told)
    if told is None:
        return 0
    whole, _, fraction = parse_nonce(told).partition(".")
    return int(whole) + bool(fraction.strip("0"))


def read_files(answer: object) -> tuple[FileFacts, ...]:
    """Give what an answer of fileinfo says, file by file in their order.

    Raises:
        Invalid: It is no such answer, tells of no file or too many, or of other indexes than 0, 1, 2 and so on.
    """
    entries = json_form.sequence(answer, "answer", most=MAX_FILES)
    facts = tuple(_facts(entry, index) for index, entry in enumerate(entries))
    if not facts:
        raise json_form.wrong("answer", "a list of at least one file")
    return facts


def read_fee(answer: object) -> SignedFee:
    """Give the provider's fee in an answer of initialize.

    Raises:
        Invalid: It is no such answer.
    """
    fee = json_form.mapping(json_form.mapping(answer, "answer").get("providerFee"), "providerFee")
    return SignedFee(
        fee_address=parse_address(fee.get("providerFeeAddress"), "providerFeeAddress"),
        fee_token=parse_address(fee.get("providerFeeToken"), "providerFeeToken"),
        amount=_amount(fee.get("providerFeeAmount")),
        provider_data=bytes.fromhex(_matching(fee, "providerData", _HEX)[2:]),
        v=json_form.whole_number(fee.get("v"), "v", least=27, most=28),
        r=_word(fee, "r"),
        s=_word(fee, "s"),
        valid_until=json_form.whole_number(fee.get("validUntil"), "validUntil", least=0, most=_MAX_TIME),
    )


def _place(base: str) -> tuple[str, int, str] | None:
    try:
        url = parse_url(base)
    except ValueError:
        return None
    default = url.port == _PORTS[url.scheme]
    return url.host, 0 if default else url.port, url.path.rstrip("/")


def _url(provider: str, name: str, query: Mapping[str, str]) -> WebUrl:
    base = parse_url(provider)
    path = f"{base.path.rstrip('/')}{_API}/{name}"
    return replace(base, target=f"{path}?{urlencode(query, errors='replace')}" if query else path)


def _userdata(text: str) -> dict[str, str]:
    return {} if text.strip() in {"", "{}"} else {"userdata": text}


def _facts(value: object, index: int) -> FileFacts:
    entry = json_form.mapping(value, "answer")
    if entry.get("index", index) != index:
        raise json_form.wrong("index", "the place of the file in the list")
    checksum = _text(entry.get("checksum")).lower()
    length = _text(entry.get("contentLength"))
    return FileFacts(
        valid=entry.get("valid") is True,
        type="peer",
        content_length=int(length) if _AMOUNT.fullmatch(length) else None,
        content_type=_text(entry.get("contentType"))[:_LONGEST_NAME],
        filename=_text(entry.get("filename"))[:_LONGEST_NAME],
        checksum=checksum if _SHA256.fullmatch(checksum) else None,
    )


def _text(value: object) -> str:
    """Give a text or a number as text; what is neither says nothing."""
    return value if isinstance(value, str) else str(value) if type(value) is int else ""


def _amount(value: object) -> int:
    text = _text(value)
    if _AMOUNT.fullmatch(text) is None:
        raise json_form.wrong("providerFeeAmount", "a whole number as text")
    return int(text)


def _word(fee: Mapping[str, object], name: str) -> bytes:
    """Give 32 bytes; older providers leave zeros at the front out."""
    return int(_matching(fee, name, _WORD), 0).to_bytes(_WORD_BYTES, "big")


def _matching(fee: Mapping[str, object], name: str, form: re.Pattern[str]) -> str:
    text = json_form.text(fee.get(name), name)
    if form.fullmatch(text) is None:
        raise json_form.wrong(name, "0x and hexadecimal digits")
    return text
