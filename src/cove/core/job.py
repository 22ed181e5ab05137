"""What a job is: frozen values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from cove.core.output import Output
from cove.core.releasepolicy import ReleasePolicy

JobId = NewType("JobId", str)
"""32 lower-case hex digits: 128 random bits, told to the owner alone."""

RunId = NewType("RunId", str)
"""``<job id>-<attempt>``: the name that an engine gives to everything of one run."""


def run_id(job_id: JobId, attempt: int) -> RunId:
    """Name one attempt of a job.

    Args:
        job_id: The job.
        attempt: 1 for the first run.
    """
    return RunId(f"{job_id}-{attempt}")


class Phase(StrEnum):
    """Where a job is on its way; ``lifecycle.MOVES`` says which way leads where."""

    ACCEPTED = "accepted"
    PROVISIONING = "provisioning"
    SUBMITTING = "submitting"
    RUNNING = "running"
    FILTERING = "filtering"
    #: A person is to look at what may leave; the run and its slot are gone by then.
    HELD = "held"
    PUBLISHING = "publishing"
    CLEANING = "cleaning"
    DONE = "done"


class Outcome(StrEnum):
    """How a job ended, by whose doing."""

    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    ALGORITHM_FAILED = "algorithm_failed"
    PROVIDER_FAILED = "provider_failed"


@dataclass(frozen=True, slots=True)
class Resources:
    """What one run may use; every limit is enforced from outside the run."""

    #: Processors, in whole or parts; above zero.
    cpus: float
    #: Bytes of memory, swap included.
    memory_bytes: int
    #: Bytes of everything a run writes (outputs, logs, home, temporary files), by allocated blocks.
    disk_bytes: int
    #: Files and folders a run may create.
    inodes: int
    #: Processes and threads at one time.
    processes: int
    #: Seconds from the start of the algorithm to SIGTERM.
    time_seconds: int
    #: Bytes kept of the merged standard output and error; the rest is dropped and a line says so.
    log_bytes: int
    #: Graphics processors; 0 for none.
    gpus: int = 0
    #: Their kind, as the owner calls it; empty for any.
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """What the consumer gave to log in at the registry of a private image."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where somebody wants to be told of jobs."""

    url: str = field(repr=False)
    #: ``whsec_`` and base64: what messages are signed with.
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Container:
    """The container section of an algorithm's DDO, as published."""

    #: Image name without tag.
    image: str
    #: Empty where the DDO has none.
    tag: str = ""
    #: ``sha256:<hex>``, or empty.
    checksum: str = ""
    #: Command line with ``$ALGO``; empty means the image's own.
    entrypoint: str = ""
    #: ``sha256:<hex>`` of the image that an engine made ready; empty before, and where the engine knows none.
    digest: str = ""
    #: Used to get the image ready, and taken out before the run is written down; None: the owner's own logins.
    login: RegistryLogin | None = None

    @property
    def reference(self) -> str:
        """Give the name that the owner's image table is asked for: ``image`` or ``image:tag``."""
        return f"{self.image}:{self.tag}" if self.tag else self.image


@dataclass(frozen=True, slots=True)
class Bind:
    """One file or folder, shown read-only inside the run."""

    #: Absolute path on this host; empty where ``content`` is given.
    source: str
    #: Absolute path inside, below ``/data``.
    target: str
    #: The bytes of a small file that lies nowhere on this host; None for one that does.
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """All that an engine needs to know to run one attempt of a job."""

    id: RunId
    container: Container
    #: Inputs, DDOs and the algorithm, each at its place in ``/data`` (``container.md``).
    binds: tuple[Bind, ...]
    #: Variables beyond those that the engine itself owes to every run.
    environment: tuple[tuple[str, str], ...]
    resources: Resources
    #: Whether the run may reach the network. False: nothing but its own loopback, on every engine.
    network: bool = False


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One released file, as the status lists it."""

    #: Relative path below outputs with ``/``; for logs the bare name.
    filename: str
    #: Bytes.
    filesize: int
    #: ``imageLog``, ``configurationLog``, ``algorithmLog``, ``output`` or ``publishLog``.
    type: str
    #: Hex digest of the released bytes; empty for a tar that is built while it is sent.
    sha256: str
    #: Key in the result store; empty for a tar that is built while it is sent.
    key: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy decided about one raw output; the digest is fixed here."""

    path: str
    type: str
    size: int
    sha256: str
    released: bool
    #: Why it is held back; empty when it is released.
    reason: str = ""
    #: Whether a person may still let it out; False where it is released, or is never to be.
    held: bool = False
    #: Of a mock job, what would have become of it on private data (``core.rehearsal``); empty for any other.
    would: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one earlier run of a job ended."""

    number: int
    outcome: Outcome
    reason: str
    started_at: float | None
    finished_at: float


@dataclass(frozen=True, slots=True)
class Tier:
    """On which terms a job was started in Ocean Node's API, and what it keeps for those who asked."""

    #: Whether it was asked for without payment.
    free: bool
    #: JSON object of the owner's own words about it, as text.
    metadata: str = "{}"
    #: Checksummed addresses of others who may read its results.
    viewers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One compute job: what was asked for, where it is, how it ended."""

    id: JobId
    #: Checksummed address.
    owner: str
    chain_id: int
    #: Id of the compute environment.
    environment: str
    #: Id of the order's transaction with ``0x``, as the consumer gave it.
    agreement_id: str
    #: DIDs of the datasets, the main one first.
    dataset_dids: tuple[str, ...]
    #: DID of the algorithm; empty for raw code.
    algorithm_did: str
    resources: Resources
    created_at: float
    #: Unix time at which the environment's fee stops paying; 0 for never.
    expires_at: float
    #: ``<chain>:<tx>:<datatoken>:<service index>`` of every order that pays for this job.
    order_keys: tuple[str, ...] = ()
    phase: Phase = Phase.ACCEPTED
    #: 1 for the first run; a restart or a lost run adds one.
    attempt: int = 1
    #: Counts writes, for compare-and-swap.
    version: int = 1
    #: None while the end is open.
    outcome: Outcome | None = None
    #: Machine-readable: ``exit_code_3``, ``out_of_memory``, ``time_limit``, ``data_unavailable``; empty on success.
    reason: str = ""
    #: One sentence for people that never quotes the algorithm.
    message: str = ""
    exit_code: int | None = None
    out_of_memory: bool = False
    #: When the algorithm itself started in this attempt; None before.
    started_at: float | None = None
    #: None until DONE.
    finished_at: float | None = None
    #: The owner's wish to stop, never a phase; None without one.
    stop_requested_at: float | None = None
    #: The owner's wish to delete; such a job is shown to nobody any more.
    delete_requested_at: float | None = None
    #: Fingerprint of each input file by its place in ``/data``, from the first provisioning on.
    input_digests: tuple[tuple[str, str], ...] = ()
    #: How many times in a row this job's run was lost; a finished run sets it back to 0.
    losses: int = 0
    verdicts: tuple[Verdict, ...] = ()
    results: tuple[ResultFile, ...] = ()
    history: tuple[Attempt, ...] = ()
    #: Unix time after which the job no longer waits for its run to start, and ends; None: it waits as long as it takes.
    wait_until: float | None = None
    #: ``sha256:<hex>`` of the image that its run was made ready with; empty before, and where the engine knows none.
    image_digest: str = ""
    #: When everything that may leave lay in the airlock, and nothing of the run was left; None before, and for a job
    #: whose present attempt was not held.
    held_at: float | None = None
    #: How the review of the present attempt ended (``core.airlock.ReviewState``); empty without one, or before its end.
    review: str = ""
    #: Whether its consumer wants to be told of it (``Package.webhook``).
    notify: bool = False
    #: Whether its datasets' samples stand for them, so that nobody paid for it and it saw nothing private.
    mock: bool = False
    #: What is done with its results once they are released (``core.delivery.DeliveryKind``).
    onward: tuple[str, ...] = ()
    #: None for a job of the Provider API.
    tier: Tier | None = None
    #: Place in its environment's queue (``core.queueing``), given by the store and never changed by others; 0 before.
    place: int = field(default=0, compare=False)

    @property
    def is_free(self) -> bool:
        """Say whether it was started in an environment's free tier."""
        return self.tier is not None and self.tier.free

    @property
    def run_id(self) -> RunId:
        """Give the name of the present attempt."""
        return run_id(self.id, self.attempt)


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """A file list that only the provider's key opens."""

    #: ``0x`` ciphertext of ``{"datatokenAddress","nftAddress","files"}``.
    ciphertext: str
    #: The addresses that must stand inside (privacy of section 6.8); both empty for a consumer's own raw URL.
    datatoken: str
    nft: str


@dataclass(frozen=True, slots=True)
class PeerFiles:
    """Files that another provider serves; it is asked for them when the job's data is brought."""

    #: Base URL of that provider, without ``/`` at its end.
    provider: str
    #: ``0x`` transaction of the order, whose consumer is this provider's own account.
    order_tx: str


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Synthetic files that stand for a dataset's in a mock job, which holds no way to the dataset's own."""

    #: Absolute paths on this host.
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputAsset:
    """One dataset, or the algorithm, of a job."""

    #: DID; empty for raw code.
    did: str
    service_id: str
    #: None for raw code.
    files: SealedFiles | PeerFiles | SampleFiles | None
    #: The DDO as the algorithm may see it, JSON text; empty where there is none.
    document: str = ""
    #: JSON object of the consumer's own parameters for this service, as text.
    userdata: str = "{}"
    #: Address of the account that owns the asset's NFT; checksummed, empty for raw code.
    publisher: str = ""
    #: sha256 hex of all files, concatenated, that the dataset's owner approved; empty for no such rule.
    files_checksum: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """The private half of a job: everything that provisioning needs. It is stored encrypted."""

    datasets: tuple[InputAsset, ...]
    algorithm: InputAsset
    container: Container
    #: Source text when the consumer sent raw code; None otherwise.
    rawcode: str | None = None
    #: JSON object given as ``algocustomdata``.
    custom_data: str = "{}"
    #: The consumer's own variables; reserved names were refused before.
    environment: tuple[tuple[str, str], ...] = field(default=())
    #: ``did`` folders, or all files side by side (``flat``).
    layout: str = "did"
    #: Whether every dataset allows the run to reach the network.
    network: bool = False
    #: The strictest of each rule of all datasets, as they were when the job was started, or last restarted.
    policy: ReleasePolicy = field(default_factory=ReleasePolicy)
    #: Where its consumer is told of it; None for nowhere.
    webhook: Webhook | None = None
    #: What its consumer wants done with released results beside keeping them here; None for nothing.
    output: Output | None = None

    @property
    def mock(self) -> bool:
        """Say whether nothing private is among its datasets: samples stand for every one of them."""
        return bool(self.datasets) and all(isinstance(given.files, SampleFiles) for given in self.datasets)

    @property
    def mixed(self) -> bool:
        """Say whether samples stand for some of its datasets alone, which no job may be."""
        return not self.mock and any(isinstance(given.files, SampleFiles) for given in self.datasets)
