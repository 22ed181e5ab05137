"""What the two dialects of a start have in common: how datasets, algorithms and what goes with them are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cove import wire
from cove.core import messages
from cove.core.errors import Invalid
from cove.core.job import RegistryLogin, Webhook
from cove.core.logins import FIELD, parse_login
from cove.core.webhook import secret_of
from cove.core.weburl import parse_url
from cove.jobs.requests import AssetRequest, RawAlgorithm
from cove.web.parsing import json_text, whole_number
from cove.wiring.house import Cove

_LONGEST_WAIT: Final = 10**9


def queue_wait_of(given: str | None) -> int | None:
    """Give the seconds that a job may wait; 0 is refused, since it could mean never as well as for ever."""
    if given is None:
        return None
    seconds = whole_number(given, "queueMaxWaitTime", _LONGEST_WAIT)
    if seconds == 0:
        raise Invalid(
            {"queueMaxWaitTime": ["The queueMaxWaitTime must be 1 second or more; leave it out for no limit."]}
        )
    return seconds


def webhook_of(given: wire.WebhookRef | None) -> Webhook | None:
    """Give where a consumer wants to be told of a job.

    Raises:
        Invalid: The URL or the secret is none.
    """
    if given is None:
        return None
    for field, check, value in (("url", parse_url, given.url), ("secret", secret_of, given.secret)):
        try:
            check(value)
        except ValueError as problem:
            text = str(problem).removeprefix("should be ")
            raise Invalid({f"webhook.{field}": [f"The webhook.{field} should be {text}."]}) from None
    return Webhook(given.url, given.secret)


def login_of(house: Cove, given: str | None) -> RegistryLogin | None:
    """Give the login for the registry of a private image.

    Raises:
        Invalid: It was not encrypted to this provider's key, or is none.
    """
    if not given:
        return None
    try:
        plain = house.vault.decrypt(bytes.fromhex(given.removeprefix("0x")))
    except ValueError:
        raise Invalid({FIELD: [f"The {FIELD} should be hexadecimal."]}) from None
    except Invalid:
        raise Invalid({FIELD: [f"The {FIELD} was not encrypted to this provider's key."]}) from None
    return parse_login(plain)


def datasets_of(entries: Iterable[wire.DatasetRef]) -> tuple[AssetRequest, ...]:
    """Give the datasets; in errors the first is ``dataset``, and the others are ``datasets[i]`` with i from 1."""
    return tuple(
        asset_of(entry, f"datasets[{position}]" if position else "dataset") for position, entry in enumerate(entries)
    )


def asset_of(entry: wire.DatasetRef | wire.AlgorithmRef, field: str) -> AssetRequest:
    """Give a dataset or a published algorithm as it stands in a request.

    Raises:
        Invalid: A part of it is malformed; the error stands under ``field``.
    """
    return AssetRequest(
        messages.parse_did(entry.documentId, f"{field}.documentId") if entry.documentId else None,
        entry.serviceId,
        messages.parse_tx(entry.transferTxId, f"{field}.transferTxId") if entry.transferTxId else None,
        json_text(entry.userdata or {}, f"{field}.userdata"),
    )


def raw_of(entry: wire.AlgorithmRef) -> RawAlgorithm | None:
    """Give an algorithm that was sent along; None for a published one."""
    meta = entry.meta
    if meta is None:
        return None
    container = meta.container or wire.ContainerRef()
    return RawAlgorithm(
        meta.rawcode, meta.url, container.entrypoint, container.image, container.tag, container.checksum
    )
