"""JSON-RPC to a chain's node: one small client over HTTP."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, NoReturn, Protocol, Self

import aiohttp
import httpx2

from cove.core.errors import Unavailable

MAX_ANSWER_BYTES: Final = 64 << 20
"""Largest answer of a node that is read."""
MAX_CONNECTIONS: Final = 16
"""Calls that one node answers at a time; others wait for their turn, so that a flood of requests does not become one of
connections to the node."""
TOO_LARGE: Final = -32005
"""Code of an answer that is too large, as nodes themselves use it."""

_JSON: Final = {"Content-Type": "application/json"}
_TOO_MANY: Final = 429
_NOT_NOW: Final = frozenset({_TOO_MANY, 503})
_RATE_CODES: Final = frozenset({_TOO_MANY, -32029, -32097})
_RATE_WORDS: Final = (
    "rate limit",
    "request rate",
    "too many requests",
    "request limit",
    "request count exceeded",
    "compute units per second",
)
_REVERTED: Final = 3
_SECONDS: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


class RpcError(Exception):
    """The node understood a call and refused it.

    Args:
        code: JSON-RPC error code; 3 is a reverted call.
        message: The node's words.
        revert: What the reverted call returned; empty where the node did not say.
    """

    def __init__(self, code: int, message: str, revert: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.revert = revert


class NodeFailure(Unavailable):
    """A node did not answer a call in JSON-RPC, so that another node may be asked.

    Args:
        part: ``chain 8996``.
        why: What it did, to follow its name (``cannot be reached``).
        message: One sentence for people; None: the part does not answer.
        sent: False where nothing was sent, so that even a write may go to another node.
        retry_after: Seconds for which a node that limits our rate wants to be left alone; None for any other failure.
    """

    def __init__(
        self, part: str, why: str, message: str | None = None, *, sent: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(part, message)
        self.why = why
        self.sent = sent
        self.retry_after = retry_after


class Rpc(Protocol):
    """Something that answers JSON-RPC calls: a node behind HTTP, or the chain in this process."""

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """Call a method and give its result.

        Raises:
            RpcError: The node refused the call.
            Unavailable: It did not answer, or not in JSON-RPC.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class HttpRpc:
    """A node behind an HTTP URL. The URL may hold an access key, so that no text shows it.

    The calls go through aiohttp, whose parser is compiled: a call costs 0.12 ms of CPU, and 0.45 ms with httpx2.

    Args:
        url: Of the node.
        chain_id: Of its chain, for the text of :class:`Unavailable`.
        timeout: Seconds for a whole call.
        max_answer: Bytes of the largest answer.
    """

    def __init__(self, url: str, chain_id: int, *, timeout: float = 20.0, max_answer: int = MAX_ANSWER_BYTES) -> None:
        self._url = url
        self._part = f"chain {chain_id}"
        self._max_answer = max_answer
        self._ids = itertools.count(1)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        #: Made at the first call, since it belongs to the event loop that it is made in.
        self._session: aiohttp.ClientSession | None = None

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """Call a method and give its result.

        Raises:
            RpcError: The node refused the call.
            NodeFailure: It did not answer, or not in JSON-RPC.
        """
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        return result_of(await self.exchange(body), self._part)

    async def exchange(self, body: Mapping[str, object]) -> object:
        """Send one JSON-RPC body and give the node's whole answer, parsed.

        Raises:
            RpcError: The answer is too large.
            NodeFailure: The node did not answer in JSON, or says that it does not serve us now.
        """
        try:
            sent = json.dumps(body, separators=(",", ":")).encode()
            async with self._open().post(self._url, data=sent, headers=_JSON, allow_redirects=False) as answer:
                content = await self._read(answer)
        except TimeoutError:
            raise NodeFailure(self._part, "does not answer in time") from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL):
            raise NodeFailure(self._part, "cannot be reached", sent=False) from None
        except (aiohttp.ClientError, ValueError, OSError):
            raise NodeFailure(self._part, "breaks off") from None
        if answer.status in _NOT_NOW:
            self._raise_not_now(answer)
        try:
            parsed: object = json.loads(content)
        except (ValueError, RecursionError):
            why = f"answered HTTP status {answer.status} and no JSON"
            raise NodeFailure(self._part, why, f"{self._part} {why}") from None
        return parsed

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"HttpRpc({self._part})"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The authorities that our other clients trust; reading them takes longer than many calls.
            tls = httpx2.create_ssl_context(trust_env=False) if self._url.startswith("https") else True
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=tls)
            jar = aiohttp.DummyCookieJar()  # a node has no session to keep, and to look for its cookies takes time
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, cookie_jar=jar)
        return self._session

    def _raise_not_now(self, answer: aiohttp.ClientResponse) -> NoReturn:
        why, pause = f"answers HTTP status {answer.status}", None
        if answer.status == _TOO_MANY:
            named = answer.headers.get("Retry-After", "")
            why, pause = "limits our rate", float(named) if _SECONDS.fullmatch(named) else 0.0
        raise NodeFailure(self._part, why, f"{self._part} {why}", retry_after=pause)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > self._max_answer:
                raise RpcError(TOO_LARGE, f"the answer has more than {self._max_answer} bytes")
        return bytes(content)


def result_of(answer: object, part: str) -> object:
    """Give the result that stands in a JSON-RPC answer.

    Raises:
        RpcError: It holds an error.
        NodeFailure: It is no JSON-RPC answer.
    """
    if isinstance(answer, dict):
        error = answer.get("error")
        if isinstance(error, dict):
            raise _error_of(error)
        if error is None and "result" in answer:
            result: object = answer["result"]
            return result
    raise NodeFailure(part, "does not answer in JSON-RPC", f"{part} did not answer in JSON-RPC")


def is_revert(problem: RpcError) -> bool:
    """Say whether a call was refused by the contract, and not by the node."""
    return problem.code == _REVERTED or bool(problem.revert) or "revert" in problem.message.lower()


def limits_rate(problem: RpcError) -> bool:
    """Say whether a node refused a call only because there were too many; no standard gives this one code."""
    if is_revert(problem):  # a contract may give any words as its reason
        return False
    return problem.code in _RATE_CODES or any(words in problem.message.lower() for words in _RATE_WORDS)


def _error_of(error: Mapping[str, object]) -> RpcError:
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if isinstance(data, dict):  # some nodes put the revert data one level deeper
        data = data.get("data")
    try:
        revert = bytes.fromhex(data.removeprefix("0x")) if isinstance(data, str) else b""
    except ValueError:
        revert = b""
    return RpcError(code if isinstance(code, int) else 0, str(message)[:500], revert)
