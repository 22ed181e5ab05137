"""The RBAC server of Ocean Provider: it is told what is wanted, by whom, and answers ``true`` or ``false``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cove.core.consent import FREE_TO_ASK, Action, Question, Wanted
from cove.core.errors import Invalid
from cove.hooks.asking import Asker, Reply

PART: Final = "RBAC server"

_EVENTS: Final[Mapping[Action, str]] = {
    Action.ENCRYPT: "encryptUrl",
    Action.INITIALIZE: "initialize",
    Action.INITIALIZE_COMPUTE: "initialize",
    Action.DOWNLOAD: "access",
    Action.COMPUTE: "compute",
}
"""What is not here is not asked: the shape has no word for it."""


class RbacGate:
    """A ``Gate`` with the Provider's request shape.

    Args:
        asker: The server.
        provider: The provider's address.
        sign: Signs a text as requests of the API are signed, ``0x`` hex.
        access: ``public`` or ``private``, as the site calls itself.
    """

    def __init__(self, asker: Asker, provider: str, sign: Callable[[str], str], *, access: str = "public") -> None:
        self._asker = asker
        self._provider = provider
        self._sign = sign
        self._access = access

    async def ask(self, question: Question) -> None:
        """Return when the server says ``true``.

        Raises:
            Invalid: It says ``false``.
            TooMany: Too many free questions are open.
            Unavailable: It does not answer, or something else.
        """
        if question.action not in _EVENTS:
            return
        payload = request_of(question, self._provider, self._sign, access=self._access)
        async with self._asker.place(free=question.action in FREE_TO_ASK):
            reply = await self._asker.post(json.dumps(payload))
        ruling = ruling_of(reply)
        if ruling is None:
            raise self._asker.unusable("answered neither true nor false")
        if not ruling:
            # The field and the words that the Provider's clients know.
            raise Invalid({"RBAC": ["RBAC Validation failed!"]})

    async def close(self) -> None:
        """Let go of connections."""
        await self._asker.close()


def request_of(question: Question, provider: str, sign: Callable[[str], str], *, access: str) -> dict[str, Any]:
    """Give what is sent. What is to be encrypted stays out of it: it is the publisher's secret.

    Args:
        question: What is wanted.
        provider: The provider's address.
        sign: Signs the part that the shape signs: the event, the credentials, and for compute the services.
        access: ``public`` or ``private``.
    """
    event = _EVENTS[question.action]
    credentials = {"type": "address", "value": question.account or None}
    services: dict[str, list[dict[str, str]]] = {}
    if question.datasets:
        services["dids"] = [_service(question.datasets[0])]
    if question.algorithm is not None:
        services["algos"] = [_service(question.algorithm)]
    if question.datasets[1:]:
        services["additionalDids"] = [_service(entry) for entry in question.datasets[1:]]
    signed = services.values() if question.action is Action.COMPUTE else ()
    message = "".join((event, *(json.dumps(part) for part in (credentials, *signed))))
    return {
        "eventType": event,
        "component": "provider",
        "providerAddress": provider,
        "providerAccess": access,
        "credentials": credentials,
        "signature": sign(message),
        **services,
    }


def ruling_of(reply: Reply) -> bool | None:
    """Say what an answer means; None when it is none. Only a plain ``true`` is a yes: an object never is."""
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    if said is False and reply.status < 500:  # noqa: PLR2004 - the server's own trouble
        return False
    return True if said is True and reply.status == 200 else None  # noqa: PLR2004 - HTTP's OK


def _service(entry: Wanted) -> dict[str, str]:
    return {"did": entry.did, "serviceId": entry.service_id}
