"""What consumers ask of jobs, as frozen values; the web layer makes them from the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cove.core.fees import SignedFee
from cove.core.job import Job, JobId, RegistryLogin


@dataclass(frozen=True, slots=True)
class AssetRequest:
    """A dataset or a published algorithm, with the order that pays for it. None: the field was not sent."""

    document_id: str | None
    service_id: str | None
    order_tx: str | None
    #: JSON object as text.
    userdata: str = "{}"


@dataclass(frozen=True, slots=True)
class RawAlgorithm:
    """An algorithm that the consumer sends along: its code, or a URL of it."""

    rawcode: str | None
    url: str | None
    entrypoint: str | None
    image: str | None
    tag: str | None
    checksum: str | None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A new job; whoever asks has proven to be ``consumer``."""

    #: Checksummed address.
    consumer: str
    environment: str
    #: The main dataset first; never empty.
    datasets: tuple[AssetRequest, ...]
    #: None when ``raw`` is given, which takes precedence.
    algorithm: AssetRequest | None
    raw: RawAlgorithm | None
    #: JSON object as text (``algocustomdata``).
    custom_data: str = "{}"
    #: The consumer's own variables.
    environment_variables: tuple[tuple[str, str], ...] = ()
    #: ``did`` or ``flat``.
    layout: str = "did"
    #: What the caller says to the site's policy server, JSON text; empty for nothing.
    passed_on: str = ""
    #: Seconds that the job may wait for its run (``queueMaxWaitTime``); None: as long as the environment allows.
    queue_wait: int | None = None
    #: For the registry of a private image; None: the provider's own login, where it has one.
    login: RegistryLogin | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is shown: with what is not stored in it."""

    job: Job
    #: 1 is next; None once it left the queue.
    queue_position: int | None = None
    #: Estimate of the seconds until it starts (``core.queueing``); None when nothing is known, and once it left.
    queue_wait_seconds: float | None = None
    #: Bytes brought so far while data is provisioned; None in other phases.
    bytes_done: int | None = None
    #: Bytes to bring in all; None when unknown.
    bytes_total: int | None = None
    #: For people, what is done just now; empty for nothing to add.
    doing: str = ""


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What initializeCompute asks: what would this job cost now."""

    consumer: str
    environment: str
    #: Unix time.
    valid_until: int
    datasets: tuple[AssetRequest, ...]
    algorithm: AssetRequest | None
    raw: RawAlgorithm | None
    #: What the caller says to the site's policy server, JSON text; empty for nothing.
    passed_on: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What one item still needs: an order with this fee, or nothing (``valid_order``)."""

    datatoken: str
    fee: SignedFee | None
    valid_order: str | None


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """An environment with its present load."""

    id: str
    queued: int
    running: int
    #: Seconds that a job accepted now is expected to wait; None when nothing is known.
    queue_wait_seconds: float | None
    #: By what each limit is enforced (``Engine.enforcement``); empty where the engine is not there.
    enforcement: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResultPart:
    """An open result, ready to be sent."""

    job_id: JobId
    #: Its place in the job's results, from 0.
    index: int
    filename: str
    type: str
    #: Bytes of the whole file.
    size: int
    #: Strong validator, without quotes.
    etag: str
