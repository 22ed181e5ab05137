"""A client of OCI registries: reads manifests and blobs of one repository, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final, NoReturn, TypeVar

import httpx2

from cove.core.errors import ImagePullFailed, ImageRefused
from cove.core.image_names import DOCKER_HUB, Reference, is_digest
from cove.core.images import INDEX_TYPES, MANIFEST_TYPES, MAX_DOCUMENT_BYTES, Descriptor
from cove.core.job import RegistryLogin
from cove.images.logins import Access, Login, bounded
from cove.images.origins import Located, Stopped, locate

T = TypeVar("T")

_HUB_HOST: Final = "registry-1.docker.io"
_ACCEPTED: Final = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
_TRIES: Final = 5
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_OK, _PARTIAL, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 206, 401, 403, 404


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """What the owner set for one registry."""

    #: None: nobody logs in.
    login: RegistryLogin | None = None
    #: True: plain HTTP, without any protection of passwords or contents on the way.
    insecure: bool = False
    #: File with the certificates that sign the registry's own; None: those that this host trusts.
    ca_file: Path | None = None
    #: Seconds to wait for a connection, and for the next bytes.
    stall_seconds: float = field(default=30.0)


class NotThere(ImageRefused):
    """The registry has nothing of this name."""


class _Away(Exception):
    """It did not answer, or said that it cannot now."""

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_seconds = wait_seconds


class Registry:
    """The repository of one image. Blocking; may be used from several threads. To be closed.

    Args:
        reference: The image.
        options: The owner's, for its registry.
        login: The consumer's own, in place of the owner's; None: the owner's.
        stop: When set, everything under way ends with ``Stopped``.
    """

    def __init__(
        self, reference: Reference, options: RegistryOptions, login: RegistryLogin | None, stop: Event
    ) -> None:
        self._image = reference
        self._stop = stop
        host = _HUB_HOST if reference.registry == DOCKER_HUB else reference.registry
        self._base = httpx2.URL(f"{'http' if options.insecure else 'https'}://{host}/v2/{reference.repository}/")
        self._insecure = options.insecure
        self._http = httpx2.Client(
            verify=ssl.create_default_context(cafile=options.ca_file),
            timeout=options.stall_seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "cove"},
        )
        used = login or options.login
        self._login = Login(Access(reference, used, insecure=options.insecure), self._http)
        self._known = "the login given with the job" if login else "this provider's login" if used else "no login"

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def locate(self, platform: str, checksum: str) -> Located:
        """Find the image by the digest that a DDO states, else by its tag.

        Raises:
            ImageRefused: There is none, or its tag leads to another digest than the DDO's.
            ImagePullFailed: The registry did not answer.
        """
        image = self._image
        try:
            return locate(self, image.digest or checksum or image.tag, platform)
        except NotThere:
            if image.digest or not checksum or not image.tag:
                raise
        _, _, digest = self.document(image.tag)
        raise ImageRefused(
            f"The image {image} has the digest {digest} at its registry, and the algorithm states {checksum}."
        )

    def document(self, name: str) -> tuple[bytes, str, str]:
        """Give a manifest or an index by tag or digest: its bytes, its media type, its digest.

        Raises:
            ImageRefused: The registry has none, does not show it, or gives another one than was asked for.
            ImagePullFailed: The registry did not answer.
        """

        def read() -> tuple[bytes, str]:
            with self._get(f"manifests/{name}", {"Accept": _ACCEPTED}) as answer:
                return bounded(answer, MAX_DOCUMENT_BYTES), str(answer.headers.get("content-type", ""))

        content, media_type = self._patiently(read)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if is_digest(name) and digest != name:
            raise ImageRefused(f"The registry gave another manifest for {self._image.name} than {name}.")
        return content, media_type, digest

    def blob(self, descriptor: Descriptor) -> bytes:
        """Give a small blob whole, checked against its digest.

        Raises:
            ImageRefused: The registry has none, or it is not what its digest says.
            ImagePullFailed: The registry did not answer.
        """

        def read() -> bytes:
            with self._get(f"blobs/{descriptor.digest}", {}) as answer:
                return bounded(answer, MAX_DOCUMENT_BYTES)

        content = self._patiently(read)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != descriptor.digest:
            raise ImageRefused("A part of the image is not what its digest says.")
        return content

    def layer(self, descriptor: Descriptor) -> Iterator[bytes]:
        """Give a layer's bytes, not checked; where the registry breaks off, it is asked for the rest.

        Raises:
            ImageRefused: The registry has none, or sends more than the manifest says.
            ImagePullFailed: The registry did not answer.
        """
        done, failures = 0, 0
        while done < descriptor.size:
            try:
                for piece in self._rest(descriptor, done):
                    done += len(piece)
                    if done > descriptor.size:
                        raise ImageRefused("A layer of the image is larger than its manifest says.")
                    failures = 0
                    yield piece
                problem = _Away("the connection broke off")
            except _Away as found:
                problem = found
            if done < descriptor.size:
                failures += 1
                self._wait(problem, failures)

    def _rest(self, descriptor: Descriptor, offset: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self._get(f"blobs/{descriptor.digest}", headers) as answer:
            skipped = 0 if answer.status_code == _PARTIAL else offset
            for piece in answer.iter_raw():
                if self._stop.is_set():
                    raise Stopped
                if skipped:
                    skipped, piece = max(0, skipped - len(piece)), piece[skipped:]  # noqa: PLW2901 - the rest of it
                if piece:
                    yield piece

    def _patiently(self, read: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return read()
            except _Away as problem:
                failures += 1
                self._wait(problem, failures)

    def _wait(self, problem: _Away, failures: int) -> None:
        """Wait before the next try; the last one has no next.

        Raises:
            ImagePullFailed: It was tried often enough.
            Stopped: Nobody wants it any more.
        """
        if failures >= _TRIES:
            raise ImagePullFailed(
                f"The registry {self._image.registry} cannot be reached: {problem.reason}.", hint="Try again later."
            ) from None
        seconds = max(_FIRST_WAIT_SECONDS * 2 ** (failures - 1), min(problem.wait_seconds, _LONGEST_WAIT_SECONDS))
        if self._stop.wait(seconds):
            raise Stopped from None

    @contextlib.contextmanager
    def _get(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """Send a request, follow where it leads, and give an answer that is none of its refusals."""
        if self._stop.is_set():
            raise Stopped
        url, used, redirects = self._base.join(path), self._login.header, 0
        try:
            while True:
                own = {"Authorization": used} if used and _same_server(url, self._base) else {}
                with self._http.stream("GET", url, headers={**headers, **own}) as answer:
                    if answer.status_code in {_OK, _PARTIAL}:
                        yield answer
                        return
                    if answer.status_code in _REDIRECTS:
                        redirects += 1
                        url = self._redirected(url, answer, redirects)
                        continue
                    challenge = answer.headers.get("www-authenticate", "")
                    if answer.status_code != _UNAUTHORIZED or not _same_server(url, self._base) or not challenge:
                        self._refuse(answer)
                if not self._login.answer(challenge, used):
                    raise self._no_entry()
                used = self._login.header
        except (httpx2.TimeoutException, TimeoutError):
            raise _Away("it does not answer in time") from None
        except (httpx2.TransportError, httpx2.DecodingError) as problem:
            raise _Away(_reason(problem)) from None

    def _redirected(self, url: httpx2.URL, answer: httpx2.Response, redirects: int) -> httpx2.URL:
        problem = ImageRefused(f"The registry {self._image.registry} sends its clients to no safe place.")
        try:
            target = url.join(answer.headers.get("location", ""))
        except httpx2.InvalidURL:
            raise problem from None
        allowed = {"http", "https"} if self._insecure else {"https"}
        if redirects > _MAX_REDIRECTS or target.scheme not in allowed or not target.host:
            raise problem
        return target

    def _refuse(self, answer: httpx2.Response) -> NoReturn:
        status = answer.status_code
        if status in _TRY_AGAIN:
            wait = answer.headers.get("retry-after", "")
            raise _Away(f"it answers with {status}", float(wait) if wait.isdecimal() else 0.0)
        if status == _NOT_FOUND:
            raise NotThere(f"The registry {self._image.registry} has no image {self._image.repository} of this name.")
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise self._no_entry()
        raise ImageRefused(f"The registry {self._image.registry} answers for {self._image.repository} with {status}.")

    def _no_entry(self) -> ImageRefused:
        return ImageRefused(
            f"The registry {self._image.registry} does not show {self._image.repository} to {self._known}.",
            hint="The image is private, or not there: check its name, and the login.",
        )


def _same_server(one: httpx2.URL, other: httpx2.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _reason(problem: Exception) -> str:
    """Say what went wrong without the URL, which a redirect may have signed."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "the connection broke off" if isinstance(problem, httpx2.ReadError) else "it does not answer"
