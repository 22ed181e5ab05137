"""The client: one method per endpoint, and the waiting and downloading around them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2
from pydantic import TypeAdapter

from cove import wire
from cove.client.download import Expected, Progress, download
from cove.client.errors import BadAnswer, KeyMissing, NotReachable, NotThere, Overloaded, ServerRefused, TooLarge
from cove.client.following import log_of
from cove.client.signing import Nonces, Signer
from cove.client.transport import Transport, bounded

Answer = TypeVar("Answer")

_FINAL: Final = frozenset({31, 32, 70})
_JOBS: Final = TypeAdapter(list[wire.StatusObject])
_ENVIRONMENTS: Final = TypeAdapter(dict[str, list[wire.Environment]])
_FILES: Final = TypeAdapter(list[wire.FileInfo])
_DOCUMENT: Final = TypeAdapter(dict[str, Any])
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


def is_final(job: wire.StatusObject) -> bool:
    """Say whether nothing more will happen to a job, unless it is started again."""
    return job.status in _FINAL or job.dateFinished is not None


def succeeded(job: wire.StatusObject) -> bool:
    """Say whether a job ended well."""
    if job.outcome is not None:
        return is_final(job) and job.outcome == "succeeded"
    return job.status == 70 and job.statusText == wire.STATUS_TEXTS[70]  # noqa: PLR2004 - the table's number


class CoveClient:
    """Talks to one Cove. Use it as a context manager, or call :meth:`close`.

    Args:
        base_url: Where it is (``http://127.0.0.1:8030``).
        signer: The account that asks; None allows what needs no signature.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
        pause: Waits some seconds; tests give their own.

    Raises:
        ClientError: From every method, see :mod:`cove.client.errors`.
    """

    def __init__(
        self,
        base_url: str,
        signer: Signer | None = None,
        *,
        timeout: float = 30.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(base_url, timeout)
        self._signer = signer
        self._pause = pause
        self._root: wire.Root | None = None
        self._nonces = Nonces(self.nonce)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()

    @property
    def base_url(self) -> str:
        """Give the server's URL, without a slash at its end."""
        return self._transport.base_url

    @property
    def address(self) -> str:
        """Give the account's address, checksummed."""
        return self._account().address

    # ------------------------------------------------------------------------------------------ what is on offer

    def root(self) -> wire.Root:
        """Give the root document, read once per client."""
        if self._root is None:
            try:
                self._root = self._transport.ask(wire.Root, "GET", "/")
            except NotThere:
                raise BadAnswer(
                    f"What answers at {self._transport.shown} does not speak Cove's API.", hint="Check the URL."
                ) from None
        return self._root

    def environments(self) -> dict[str, list[wire.Environment]]:
        """Give the environments of each chain, by chain id as text."""
        return self._transport.ask(_ENVIRONMENTS, "GET", self._path("computeEnvironments"))

    def document(self, did: str) -> dict[str, Any]:
        """Give an asset's published DDO, as this Cove knows it."""
        return self._transport.ask(_DOCUMENT, "GET", f"/api/aquarius/assets/ddo/{did}")

    def initialize_compute(self, request: wire.InitializeCompute) -> wire.Initialized:
        """Ask what a job needs to be paid; ``consumerAddress`` is the signer's where it is not given."""
        asked = request
        if request.consumerAddress is None:
            asked = request.model_copy(update={"consumerAddress": self.address})
        return self._transport.ask(wire.Initialized, "POST", self._path("initializeCompute"), document=asked)

    def nonce(self) -> str | None:
        """Give the last nonce that the account used here; 0 (or None) when it used none."""
        query = {"userAddress": self.address}
        return self._transport.ask(wire.NonceAnswer, "GET", self._path("nonce"), query=query).nonce

    # ------------------------------------------------------------------------------------------ jobs

    def start(self, request: wire.StartCompute, *, mock: bool = False) -> wire.StatusObject:
        """Start a job, or with ``mock`` one on samples; account, nonce and signature are filled in."""
        did = (request.dataset.documentId if request.dataset else None) or ""

        def send(signed: Mapping[str, str]) -> list[wire.StatusObject]:
            body = request.model_copy(update={**signed, "mock": mock or request.mock})
            return self._transport.ask(_JOBS, "POST", self._path("computeStart"), document=body)

        return _one(self._signed((request.jobId or "", did), send))

    def restart(self, job_id: str, *, refresh_inputs: bool = False, max_wait: int | None = None) -> wire.StatusObject:
        """Run an ended job again under its id.

        Args:
            job_id: The job.
            refresh_inputs: Accept that the data changed since the first run.
            max_wait: Seconds that it may wait for its run; None: as long as its environment allows.
        """
        asked = {"jobId": job_id, "refreshInputs": refresh_inputs, "queueMaxWaitTime": max_wait}
        return self.start(wire.StartCompute.model_validate(asked))

    def status(
        self,
        job_id: str | None = None,
        *,
        document_id: str | None = None,
        owner: str | None = None,
        signed: bool = False,
    ) -> list[wire.StatusObject]:
        """Give the jobs that match all that is given; an empty list when there are none.

        Args:
            job_id: One job.
            document_id: Jobs on this main dataset.
            owner: Jobs of this account; the signer's own when signed.
            signed: Prove who asks: the answer then has links, and reasons of jobs that are not named by id.
        """
        if "" in (job_id, document_id, owner):  # the server would take it for "any"
            return []
        query: dict[str, str | None] = {"jobId": job_id, "documentId": document_id, "consumerAddress": owner}
        path = self._path("computeStatus")
        if not signed:
            return self._transport.ask(_JOBS, "GET", path, query=query)
        return self._signed(
            (job_id or "", document_id or ""),
            lambda proof: self._transport.ask(_JOBS, "GET", path, query={**query, **proof}),
        )

    def job(self, job_id: str) -> wire.StatusObject:
        """Give one job; signed only where the server wants that.

        Raises:
            NotThere: There is none.
        """
        try:
            found = self.status(job_id)
        except (NotThere, Overloaded):
            raise
        except ServerRefused:
            if self._signer is None:
                raise
            found = self.status(job_id, signed=True)
        if not found:
            raise NotThere(404, "not_found", {}, "There is no such job.")
        return found[0]

    def watch(self, job_id: str, *, patience: float = 30.0) -> Iterator[wire.StatusObject]:
        """Give a job's status now, and again whenever it changed, until it has ended.

        Args:
            job_id: The job.
            patience: Seconds that the server may be away meanwhile; 0 fails at once.
        """
        last: object = None
        wait, away = _FIRST_PAUSE, 0.0
        while True:
            try:
                job = self.job(job_id)
            except (NotReachable, Overloaded):
                if away >= patience:
                    raise
                job = None
            if job is None:
                away += wait
            else:
                away = 0.0
                seen = _essence(job)
                if seen != last:
                    last, wait = seen, _FIRST_PAUSE
                    yield job
                if is_final(job):
                    return
            self._pause(wait)
            wait = min(wait * 1.5, _LONGEST_PAUSE)

    def stop(self, job_id: str | None = None, *, document_id: str | None = None) -> list[wire.StatusObject]:
        """Ask for the end of the account's jobs that match; what they wrote so far is kept."""
        return self._wish("PUT", "computeStop", job_id, document_id)

    def delete(self, job_id: str | None = None, *, document_id: str | None = None) -> list[wire.StatusObject]:
        """Remove the account's jobs that match, with all their results."""
        return self._wish("DELETE", "computeDelete", job_id, document_id)

    # ------------------------------------------------------------------------------------------ results

    def results(self, job: str | wire.StatusObject) -> Sequence[wire.ResultEntry]:
        """List a job's released files; empty before there are any."""
        found = self.job(job) if isinstance(job, str) else job
        return found.results or []

    def download(
        self,
        job_id: str,
        index: int,
        target: Path,
        *,
        progress: Progress | None = None,
        entry: wire.ResultEntry | None = None,
    ) -> Path:
        """Bring one result into a file: resumed after a break, checked, and there whole or not at all.

        Args:
            job_id: The job.
            index: Which of its results.
            target: The file; an existing one is replaced.
            progress: Called with (bytes here, bytes in all or None).
            entry: What :meth:`results` says of it; None asks first.

        Raises:
            DownloadBroken: Size or digest are not those of the status.
            OSError: The file cannot be written.
        """
        known = entry or next((one for one in self.results(job_id) if one.index == index), None)
        expected = Expected() if known is None else Expected(known.filesize, known.sha256 or None)
        named = {"jobId": job_id, "index": str(index)}
        return download(
            lambda headers: self._open("computeResult", named, headers), target, expected, progress, self._pause
        )

    def read_result(self, job_id: str, index: int, *, limit: int = 16 << 20) -> bytes:
        """Give one result's bytes.

        Raises:
            TooLarge: It has more than ``limit`` bytes.
        """
        with self._open("computeResult", {"jobId": job_id, "index": str(index)}, {}) as answer:
            try:
                return bounded(answer, limit)
            except TooLarge:
                raise TooLarge(
                    f"Result {index} has more than {limit} bytes.", hint="Download it into a file instead."
                ) from None

    # ------------------------------------------------------------------------------------------ assets

    def follow_log(self, job_id: str, told: Callable[[str], None] | None = None) -> Iterator[str]:
        """Give a job's log to its end, live where that is shown; ``told`` gets the words for each phase of the job."""
        with self._open("computeLogs", {"jobId": job_id}, {}) as answer:
            yield from log_of(answer, told)

    def encrypt(self, chain_id: int, plain: bytes) -> str:
        """Have a document or file list encrypted to the provider's key; gives ``0x`` and hex."""
        answer = self._transport.fetch(
            "POST",
            self._path("encrypt"),
            query={"chainId": chain_id},
            body=plain,
            content_type="application/octet-stream",
        )
        text = answer.decode("ascii", "replace").strip()
        if not text.startswith("0x"):
            raise BadAnswer("The server's answer to encrypt is not hex.")
        return text

    def decrypt(self, request: wire.DecryptRequest) -> bytes:
        """Have a published document decrypted; account, nonce and signature are filled in."""
        subject = request.transactionId or request.dataNftAddress or ""

        def send(proof: Mapping[str, str]) -> bytes:
            filled = {key: value for key, value in proof.items() if key != "consumerAddress"}
            body = request.model_copy(update={**filled, "decrypterAddress": self.address})
            content = body.model_dump_json(exclude_none=True).encode()
            return self._transport.fetch("POST", self._path("decrypt"), body=content)

        return self._signed((), send, text=lambda nonce: f"{subject}{self.address}{request.chainId or ''}{nonce}")

    def file_info(
        self,
        did: str | None = None,
        service_id: str | None = None,
        *,
        file: Mapping[str, object] | None = None,
        checksum: bool = False,
    ) -> list[wire.FileInfo]:
        """Look at the files of a published service, or at a file object before it is published."""
        body: dict[str, object] = dict(file) if file is not None else {"did": did, "serviceId": service_id}
        body["checksum"] = checksum
        return self._transport.ask(_FILES, "POST", self._path("fileinfo"), document=body)

    # ------------------------------------------------------------------------------------------ inside

    def _account(self) -> Signer:
        if self._signer is None:
            raise KeyMissing("This needs your signature, and no key is given.")
        return self._signer

    def _path(self, name: str) -> str:
        """Give an endpoint's path as the server's root document says."""
        entry = self.root().serviceEndpoints.get(name)
        if entry is None:
            raise BadAnswer(f"The server at {self._transport.shown} does not offer {name}.")
        if not entry[1].startswith("/"):
            raise BadAnswer(f"The server at {self._transport.shown} names no path for {name}.")
        return entry[1]

    def _signed(
        self,
        parts: tuple[str, ...],
        send: Callable[[Mapping[str, str]], Answer],
        *,
        text: Callable[[str], str] | None = None,
    ) -> Answer:
        """Send with account, nonce and signature; once more where another client took the nonce."""
        try:
            return send(self._proof(parts, text, ask=False))
        except ServerRefused as refused:
            if refused.code != "bad_signature" and not {"nonce", "signature"} & refused.fields.keys():
                raise
            return send(self._proof(parts, text, ask=True))

    def _proof(self, parts: tuple[str, ...], text: Callable[[str], str] | None, *, ask: bool) -> dict[str, str]:
        signer = self._account()
        nonce = self._nonces.take(ask=ask)
        message = text(nonce) if text else "".join((signer.address, *parts, nonce))
        return {"consumerAddress": signer.address, "nonce": nonce, "signature": signer.sign(message)}

    def _wish(self, method: str, name: str, job_id: str | None, document_id: str | None) -> list[wire.StatusObject]:
        if "" in (job_id, document_id):  # the server would take it for "any"
            return []
        body = {key: value for key, value in (("jobId", job_id), ("documentId", document_id)) if value is not None}
        return self._signed(
            (job_id or "", document_id or ""),
            lambda proof: self._transport.ask(_JOBS, method, self._path(name), document={**body, **proof}),
        )

    @contextlib.contextmanager
    def _open(self, name: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """Open an endpoint whose signature covers its parameters, in their order."""
        path = self._path(name)
        with contextlib.ExitStack() as stack:
            yield self._signed(
                tuple(query.values()),
                lambda proof: stack.enter_context(
                    self._transport.stream("GET", path, query={**query, **proof}, headers=headers)
                ),
            )


def _one(jobs: Sequence[wire.StatusObject]) -> wire.StatusObject:
    if len(jobs) != 1:
        raise BadAnswer(f"The server answered with {len(jobs)} jobs instead of one.")
    return jobs[0]


def _essence(job: wire.StatusObject) -> object:
    """Give what makes a status a new one: all but the clock in it."""
    content = job.model_dump(exclude={"algorithmLogUrl", "resultsUrls"})
    progress = content.get("progress")
    if progress:
        content["progress"] = {key: value for key, value in progress.items() if key != "elapsedSeconds"}
    return content
