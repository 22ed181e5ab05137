"""The Kubernetes API as far as the engine needs it: plain requests, and a watch that never loses its place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2

from cove.core.errors import Unavailable
from cove.engines.kubernetes.access import Access

Json = dict[str, Any]

_WATCH_SECONDS: Final = 240
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_GONE: Final = 410
_OVERLOADED: Final = frozenset({401, 403, 408, 429})
_MERGE: Final = "application/merge-patch+json"

log = logging.getLogger("cove.engines.kubernetes")


class ApiError(Exception):
    """The cluster said no, for good.

    Args:
        status: The HTTP status.
        reason: The API's word: ``AlreadyExists``, ``NotFound``, ``Invalid``.
        message: Its sentence; it may quote what was sent, so it is for the log alone.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.message = message


class Cluster:
    """One namespace of one cluster."""

    def __init__(self, access: Access, namespace: str, *, seconds: float = 10.0) -> None:
        self.namespace = namespace
        self.core = f"/api/v1/namespaces/{namespace}"
        self.batch = f"/apis/batch/v1/namespaces/{namespace}"
        self.networking = f"/apis/networking.k8s.io/v1/namespaces/{namespace}"
        self._token = access.token
        self._http = httpx2.AsyncClient(
            base_url=access.server,
            verify=access.tls,
            trust_env=False,
            timeout=httpx2.Timeout(seconds, connect=min(seconds, 5.0)),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def get(self, path: str) -> Json:
        """Give one object.

        Raises:
            ApiError: It is not there (404), or the request makes no sense to the cluster.
            Unavailable: Nothing is known: no answer, no right to ask, too many requests, or trouble on the other side.
        """
        return await self._ask("GET", path)

    async def items(self, path: str, selector: str) -> tuple[list[Json], str]:
        """List objects by label as they are now, with the version of the list. Raises as :meth:`get`."""
        found = await self._ask("GET", path, params={"labelSelector": selector})
        return list(found.get("items") or []), str(found["metadata"]["resourceVersion"])

    async def create(self, path: str, body: Json) -> Json:
        """Make an object, and give what the cluster made of it. Raises as :meth:`get`; 409 where it exists."""
        return await self._ask("POST", path, body=body)

    async def patch(self, path: str, body: Json) -> Json:
        """Change some fields of an object. Raises as :meth:`get`."""
        return await self._ask("PATCH", path, body=body, kind=_MERGE)

    async def delete(self, path: str, *, grace_seconds: int | None = None, propagation: str = "Background") -> None:
        """Have an object deleted; one that is not there is fine.

        Args:
            path: The object.
            grace_seconds: None for the object's own. 0 forgets a pod whose processes may still run.
            propagation: What becomes of what it owns: ``Background``, or ``Foreground``, where it goes last.

        Raises:
            Unavailable: As :meth:`get`.
            ApiError: As :meth:`get`.
        """
        body: Json = {"propagationPolicy": propagation}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            await self._ask("DELETE", path, body=body)
        except ApiError as problem:
            if problem.reason != "NotFound":
                raise

    async def watch(self, path: str, selector: str) -> AsyncIterator[Json]:
        """Give every object as it is now, and again whenever it changed or went, for ever.

        A broken connection is resumed at the version that was seen last. Where the cluster has forgotten that version
        (410), and after errors, everything is listed anew: so an object may come without a change, and one that went
        meanwhile may not come. Hints, therefore, never the truth.
        """
        version, pause = "", _FIRST_PAUSE
        while True:
            try:
                if not version:
                    found, version = await self.items(path, selector)
                    for item in found:
                        yield item
                async for event in self._events(path, selector, version):
                    version, pause = str(event["object"]["metadata"]["resourceVersion"]), _FIRST_PAUSE
                    if event["type"] != "BOOKMARK":
                        yield event["object"]
                continue  # the watch's time is over: on from the same place
            except ApiError as problem:
                version = ""
                if problem.status == _GONE:
                    continue
                log.warning("the watch was refused: %s", problem)
            except Unavailable as problem:
                log.info("the watch is interrupted: %s", problem.message)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _events(self, path: str, selector: str, version: str) -> AsyncIterator[Json]:
        query = {
            "labelSelector": selector, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }  # fmt: skip
        # Bookmarks come about once a minute; a stream that is silent for longer than the watch may last is dead.
        timeout = httpx2.Timeout(10.0, read=_WATCH_SECONDS + 10.0)
        try:
            async with self._http.stream("GET", path, params=query, headers=self._headers(), timeout=timeout) as answer:
                if answer.status_code != httpx2.codes.OK:
                    await answer.aread()
                    raise _error(answer)
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        told = event["object"]
                        raise ApiError(int(told.get("code", 0)), str(told.get("reason", "")), "")
                    yield event
        except (httpx2.HTTPError, httpx2.StreamError, ValueError) as problem:
            raise Unavailable("kubernetes", f"The cluster's stream broke ({type(problem).__name__}).") from None

    async def _ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Json | None = None,
        kind: str = "application/json",
    ) -> Json:  # fmt: skip
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers() | ({} if body is None else {"Content-Type": kind})
        try:
            answer = await self._http.request(method, path, params=params, content=content, headers=headers)
        except (httpx2.HTTPError, httpx2.StreamError) as problem:
            raise Unavailable("kubernetes", f"The cluster does not answer ({type(problem).__name__}).") from None
        if answer.is_success:
            with contextlib.suppress(ValueError):
                return dict(answer.json())
            raise Unavailable("kubernetes", "The cluster's answer is not JSON.")
        raise _error(answer)

    def _headers(self) -> dict[str, str]:
        token = self._token()
        return {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})


def _error(answer: httpx2.Response) -> ApiError | Unavailable:
    status = answer.status_code
    try:
        told = answer.json()
        reason, message = str(told.get("reason", "")), str(told.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", ""
    if status in _OVERLOADED or status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        hint = "Look at the account's role: cove doctor says what is missing." if status in {401, 403} else None
        return Unavailable("kubernetes", f"The cluster answered {status} {reason}".rstrip() + ".", hint=hint)
    return ApiError(status, reason, message)
