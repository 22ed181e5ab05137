"""The PolicyServer of Ocean Node: one question per service; status 200 is a yes, and a no may have its own words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from cove.core.consent import FREE_TO_ASK, Action, Question, Wanted
from cove.core.errors import Forbidden
from cove.hooks.asking import Asker, Reply

PART: Final = "policy server"

_SERVICE_ACTIONS: Final[Mapping[Action, str]] = {
    Action.INITIALIZE: "initiate",
    # Ocean Node asks the same when a job is quoted and when it is started.
    Action.INITIALIZE_COMPUTE: "startCompute",
    Action.COMPUTE: "startCompute",
    Action.DOWNLOAD: "download",
}
_LONGEST_WORDS: Final = 200
_USUAL_WORDS: Final = "The policy server refused this."
_OK: Final = 200
_CLIENT_ERRORS: Final = range(400, 500)


class PolicyGate:
    """A ``Gate`` with Ocean Node's request shape.

    Args:
        asker: The server.
        provider: The provider's address.
    """

    def __init__(self, asker: Asker, provider: str) -> None:
        self._asker = asker
        self._provider = provider

    async def ask(self, question: Question) -> None:
        """Return when the server says yes to every service that is wanted.

        Raises:
            Forbidden: It says no.
            TooMany: Too many free questions are open.
            Unavailable: It does not answer, or nothing that can be understood.
        """
        async with self._asker.place(free=question.action in FREE_TO_ASK):
            for request in requests_of(question, self._provider):
                allowed, words = ruling_of(await self._asker.post(request))
                if allowed is None:
                    raise self._asker.unusable("gave an answer that is neither yes nor no")
                if not allowed:
                    raise Forbidden(words or _USUAL_WORDS)

    async def close(self) -> None:
        """Let go of connections."""
        await self._asker.close()


def requests_of(question: Question, provider: str) -> Iterator[str]:
    """Give the JSON texts that are sent, one after the other, as long as the answer is yes.

    Args:
        question: What is wanted.
        provider: The provider's address, by which such servers know who asks.
    """
    said = {"policyServer": question.passed_on} if question.passed_on else {}
    mock = {"mock": "true"} if question.mock else {}
    last = {"nodeAddress": json.dumps(provider), **mock, **said}
    account = json.dumps(question.account)
    if question.action is Action.ENCRYPT:
        who = {"consumerAddress": account} if question.account else {}
        yield _written({"action": '"encrypt"', **who, **last})
    elif question.decrypt is not None:
        subject = question.decrypt
        given = {"transactionId": json.dumps(subject.transaction_id)} if subject.transaction_id else {}
        yield _written({
            "action": '"decrypt"',
            "decrypterAddress": account,
            "chainId": json.dumps(subject.chain_id),
            **given,
            "dataNftAddress": json.dumps(subject.nft),
            **last,
        })  # fmt: skip
    else:
        action = json.dumps(_SERVICE_ACTIONS[question.action])
        algorithm = () if question.algorithm is None else (question.algorithm,)
        for entry in (*question.datasets, *algorithm):
            yield _written({"action": action, **_service(entry), "consumerAddress": account, **last})


def ruling_of(reply: Reply) -> tuple[bool | None, str]:
    """Say what an answer means, and in which words; None when it is neither yes nor no.

    The words go on to the caller only where they are short and can be printed.
    """
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        body = None
    success = body.get("success") if isinstance(body, dict) else None
    if success is False:
        return False, _words(body, reply)
    if reply.status == _OK and reply.content_type != "text/html":  # a page: the URL leads to something else
        return (True, "") if success is None or success is True else (None, "")
    if reply.status in _CLIENT_ERRORS:
        return False, _words(body, reply)
    return None, ""


def _words(body: object, reply: Reply) -> str:
    said: object = body
    for name in ("message", "error"):
        if isinstance(said, dict):
            said = said.get(name, said)
    if body is None and reply.content_type != "text/html":
        said = reply.body.decode("utf-8", "replace")
    text = said.strip() if isinstance(said, str) else ""
    return text if len(text) <= _LONGEST_WORDS and text.isprintable() else ""


def _service(entry: Wanted) -> dict[str, str]:
    """Give what is said of a service; the DDO goes in as the text that it was published as."""
    parts = {"documentId": json.dumps(entry.did), "ddo": entry.document, "serviceId": json.dumps(entry.service_id)}
    if entry.file_index is not None:
        parts["fileIndex"] = json.dumps(entry.file_index)
    if entry.order_tx is not None:
        parts["transferTxId"] = json.dumps(entry.order_tx)
    return parts


def _written(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in parts.items()) + "}"
