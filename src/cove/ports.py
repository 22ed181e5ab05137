"""What the house needs from the world, as Protocols. Their docstrings are what the contract suites test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cove.core.asset import Asset
from cove.core.files import FileFacts, FileObject
from cove.core.job import Job, JobId, Run, RunId
from cove.core.lifecycle import Observation
from cove.core.order import Receipt
from cove.core.policy import ReleasedOutput


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Give the Unix time in seconds."""
        ...


# ---------------------------------------------------------------------------------------------------- engines


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, for ``cove doctor`` and the environment's description."""

    #: ``sandbox``, ``cgroups``, ``database``, ``disk``, ``chain 8996``, ``keys``...
    part: str
    ok: bool
    #: What was seen, one sentence.
    seen: str
    #: What to do; empty when there is nothing to do.
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """Where the engine left what a finished run wrote. Everything there is hostile."""

    #: Folder with the files of ``/data/outputs``.
    outputs: Path
    #: Folder with the files of ``/data/logs``.
    logs: Path
    #: The captured standard output and error, written by the engine; it may be missing.
    log: Path


class Engine(Protocol):
    """Runs algorithms. No method waits for a run: each starts something or looks, and returns soon.

    An engine names everything of a run after its RunId, so that every call can be repeated. Runs outlive the service:
    after a restart the same engine, given the same folder or daemon, answers for them as before.
    ``cove.core.errors.Unavailable`` means that nothing is known; it is never an answer about a run.
    """

    async def start(self) -> None:
        """Get ready; runs of an earlier service are found again. Called once, before anything else."""
        ...

    async def close(self) -> None:
        """Let go of everything but the runs, which go on."""
        ...

    async def submit(self, run: Run) -> None:
        """Start a run unless one of this id was ever started here and not removed.

        Raises:
            ImageRefused: The image is unknown or unusable; nothing was started.
            NoSpace: The disk is full; nothing was started.
            Unavailable: It is not known whether the run was started; calling again is safe.
        """
        ...

    async def observe(self, runs: Sequence[RunId]) -> Mapping[RunId, Observation]:
        """Say of every given run what is known of it.

        ``Missing`` before submit and after remove, ``Active`` from the return of submit on, ``Exited`` once nothing of
        its process tree is left and :meth:`collect` is ready. A run whose keeper died is ``Exited(failure="lost")``.

        Raises:
            Unavailable: The engine did not answer.
        """
        ...

    async def cancel(self, run: RunId, *, grace_seconds: float = 10.0) -> None:
        """Ask a run to end: SIGTERM to its main process, SIGKILL to the tree after the grace. Harmless when repeated.

        The later observation says ``ended_by="stopped"``.
        """
        ...

    async def collect(self, run: RunId) -> Collected:
        """Say where the outputs of an exited run are on this host.

        Raises:
            NotFound: There is no exited run of this id.
        """
        ...

    async def logs(self, run: RunId, offset: int, length: int) -> bytes:
        """Give part of the captured log, also while the run goes on; empty past its present end."""
        ...

    async def remove(self, run: RunId) -> None:
        """End the run at once if it goes on, and forget everything of it: files, mounts, cgroups. May be repeated."""
        ...

    async def runs(self) -> Sequence[RunId]:
        """List every run that the engine holds anything of, so that orphans can be removed."""
        ...

    def on_exit(self, listener: Callable[[RunId], None]) -> None:
        """Have ``listener`` called in the event loop soon after a run exited. A hint: a poll is the safety net."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at what this engine can and cannot enforce on this machine."""
        ...


# ---------------------------------------------------------------------------------------------------- sources


class Reader(Protocol):
    """An open stream of a file's bytes. Blocking: used in a worker thread by one thread at a time."""

    #: Bytes from the offset to the end; None when the source does not say.
    length: int | None

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer as far as bytes come; 0 means the end.

        Raises:
            DataMissing: The source broke off, or gave more or less than it said.
        """
        ...

    def close(self) -> None:
        """Let go; may be called from another thread to end a blocked read, and more than once."""
        ...


class FileSource(Protocol):
    """Brings the bytes of one type of file object. All methods block and are called in a worker thread.

    No text of an error quotes a URL, a path, a header or a parameter.
    """

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file without reading it. What cannot be reached has ``valid=False``; this never raises."""
        ...

    def open(self, file: FileObject, offset: int = 0) -> Reader:
        """Open a file for reading.

        Raises:
            DataMissing: It is not there, refused, too large, or at an address that is not allowed; the text says which.
        """
        ...

    def path(self, file: FileObject) -> Path | None:
        """Give the place of a file that lies on this host and is to be bound, not copied; None otherwise.

        Raises:
            DataMissing: It should lie here and does not.
        """
        ...

    def fingerprint(self, file: FileObject) -> str | None:
        """Give a text that changes when a bound file changes, in constant time; None where bytes are hashed instead."""
        ...


# ---------------------------------------------------------------------------------------------------- chains


@dataclass(frozen=True, slots=True)
class MetadataEvent:
    """``MetadataCreated`` or ``MetadataUpdated`` of an ERC721 template."""

    #: The NFT that emitted it, checksummed.
    nft: str
    tx_id: str
    block_number: int
    log_index: int
    state: int
    flags: int
    data: bytes
    #: sha256 of the plain document as given by the publisher, 32 bytes.
    metadata_hash: bytes
    timestamp: int
    decryptor_url: str


@dataclass(frozen=True, slots=True)
class NftFacts:
    """An asset's NFT as the chain has it now."""

    #: Checksummed.
    owner: str
    state: int


class Ledger(Protocol):
    """One chain. Gives facts; ``core`` judges them.

    Raises:
        Unavailable: From every method, when the chain does not answer; its part is ``chain <id>``.
    """

    chain_id: int

    async def receipt(self, tx_id: str) -> Receipt | None:
        """Give the facts of a mined transaction; None at once when the chain does not know it.

        A transaction that is known and not mined yet is waited for a few seconds at the most, then None.
        """
        ...

    async def nft(self, address: str) -> NftFacts | None:
        """Give an NFT's owner and state; None when the factory did not make this contract."""
        ...

    async def has_datatoken(self, nft: str, datatoken: str) -> bool:
        """Say whether the NFT deployed this datatoken (``isDeployed``)."""
        ...

    async def token_decimals(self, token: str) -> int:
        """Give an ERC-20's decimals."""
        ...

    async def head(self) -> tuple[int, int]:
        """Give the newest block's number and Unix time."""
        ...

    async def metadata_events(self, first_block: int, last_block: int) -> Sequence[MetadataEvent]:
        """Give all metadata events of these blocks, both ends included, in chain order, from any contract."""
        ...

    async def metadata_of_transaction(self, tx_id: str, nft: str) -> MetadataEvent | None:
        """Give the metadata event of that NFT in one transaction; None when there is none."""
        ...

    async def valid_wallet_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Ask a contract wallet (ERC-1271) whether it signed a 32-byte digest; False when it is no contract."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MetadataStore(Protocol):
    """Knows published assets."""

    async def asset(self, did: str) -> Asset:
        """Give an asset.

        Raises:
            NotFound: No such asset is published, or what is published is no valid DDO.
            Unavailable: It cannot be known now.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


# ---------------------------------------------------------------------------------------------------- secrets


class Vault(Protocol):
    """The provider's key: it never leaves."""

    #: The provider's account, checksummed.
    address: str

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt to the provider's own key (ECIES, the wire form of eciespy)."""
        ...

    def decrypt(self, cipher: bytes) -> bytes:
        """Open what was encrypted to the provider's key.

        Raises:
            Invalid: It was not.
        """
        ...

    def seal(self, plain: bytes) -> bytes:
        """Encrypt for the database: quick, authenticated, readable with the same key alone."""
        ...

    def unseal(self, sealed: bytes) -> bytes:
        """Open what :meth:`seal` made.

        Raises:
            SettingsWrong: Another key sealed it.
        """
        ...

    def sign_hash(self, digest: bytes) -> tuple[int, bytes, bytes]:
        """Sign 32 bytes as an EIP-191 personal message: v (27 or 28), r, s (32 bytes each)."""
        ...

    def mac(self, message: bytes) -> str:
        """Give a keyed digest (hex) for links that only this provider can make."""
        ...


# ---------------------------------------------------------------------------------------------------- stores


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are asked for; parts that are None do not count, given ones must all hold."""

    job_id: JobId | None = None
    #: Compared without case.
    owner: str | None = None
    #: The main dataset's DID.
    document_id: str | None = None
    #: With ``0x``, lower case.
    agreement_id: str | None = None
    #: Only jobs that are not DONE.
    open_only: bool = False
    #: At most so many, the newest first.
    limit: int = 100


class JobStore(Protocol):
    """Keeps jobs. Every write is one transaction; jobs with ``delete_requested_at`` are invisible to :meth:`find`."""

    async def start(self) -> None:
        """Get ready (open, check the schema's version).

        Raises:
            SettingsWrong: The database is newer than this program.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def add(self, job: Job, package: bytes) -> None:
        """Store a new job, its sealed package and the use of its orders, all or nothing.

        Raises:
            Refused: ``agreementId: in_use`` when one of its orders pays for a job that is not done.
        """
        ...

    async def package(self, job_id: JobId) -> bytes:
        """Give the sealed package.

        Raises:
            NotFound: No such job.
        """
        ...

    async def get(self, job_id: JobId) -> Job | None:
        """Give a job, deleted ones too; None when there is none."""
        ...

    async def find(self, query: JobQuery) -> Sequence[Job]:
        """Give the jobs that match, the newest first; never one whose deletion was asked for."""
        ...

    async def save(self, job: Job) -> Job:
        """Write a job if nobody else did since it was read, and give it with its new version.

        Moving to DONE frees its orders; moving from DONE to ACCEPTED takes them again, in the same transaction.

        Raises:
            StaleWrite: Another version is stored, or the job is gone.
            Refused: ``agreementId: in_use`` when a restarted job's order pays for another job now.
            ValueError: The move of phase is not legal.
        """
        ...

    async def remove(self, job_id: JobId) -> None:
        """Forget a job, its package and its orders' use. May be repeated."""
        ...

    async def queued(self, environment: str, limit: int) -> Sequence[Job]:
        """Give the jobs in ACCEPTED of an environment, first come first, at most ``limit``."""
        ...

    async def active(self) -> Sequence[Job]:
        """Give every job that is neither ACCEPTED nor DONE, and every job with an open stop or delete wish."""
        ...

    async def counts(self, environment: str) -> tuple[int, int]:
        """Give how many jobs of an environment wait in ACCEPTED, and how many are between that and DONE."""
        ...

    async def position(self, job: Job) -> int:
        """Give the place of an ACCEPTED job in its environment's queue: 1 is next, 0 means that it does not wait."""
        ...

    async def durations(self, environment: str, limit: int = 20) -> Sequence[float]:
        """Give the run times (seconds) of the newest finished jobs of an environment, for queue estimates."""
        ...

    async def known(self, jobs: Iterable[JobId]) -> frozenset[JobId]:
        """Say which of these jobs are stored, so that what no job owns can be removed."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at the database."""
        ...


class NonceStore(Protocol):
    """Remembers the last nonce of every address; addresses are compared by value."""

    async def last(self, address: str) -> str | None:
        """Give the last nonce used, as the text it was sent in; None for an address that used none."""
        ...

    async def use(self, address: str, nonce: str) -> bool:
        """Take a nonce in one atomic write; False when it is not greater than the last one used.

        Args:
            address: In any case.
            nonce: A decimal number as text, already checked for form by ``core.messages.parse_nonce``.
        """
        ...


class ResultStore(Protocol):
    """Keeps released results. It takes nothing that was not released."""

    async def put(self, job_id: JobId, attempt: int, output: ReleasedOutput, content: Callable[[], Path]) -> str:
        """Store one released file and give its key; an equal earlier put of the same path is replaced.

        Args:
            job_id: Its job.
            attempt: Its attempt.
            output: What was released; the bytes must have its size and digest.
            content: Gives a path of this host that holds the bytes; the store may take the file away (rename).

        Raises:
            StaleWrite: The bytes are not those that were released.
            NoSpace: The store is full.
        """
        ...

    def read(self, key: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Give a part of a stored file in chunks.

        Raises:
            NotFound: There is no such key.
        """
        ...

    async def delete(self, job_id: JobId) -> None:
        """Forget everything of a job. May be repeated."""
        ...

    async def jobs(self) -> Sequence[JobId]:
        """List the jobs that anything is stored of."""
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at the store."""
        ...
