"""What consumers ask of jobs, as frozen values; the web layer makes them from the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cove.core.delivery import Delivery
from cove.core.fees import SignedFee
from cove.core.job import Job, JobId, RegistryLogin, Webhook
from cove.core.output import Output
from cove.core.payment import Payment


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
class TierRequest:
    """On which terms a job is to run, in Ocean Node's API."""

    #: False: it is to be paid.
    free: bool
    #: What it is to be paid in: a chain's id, and the token's checksummed address.
    chain_id: int = 0
    token: str = ""
    #: Amounts by id (``core.tiers``); what is left out is given at its least.
    resources: tuple[tuple[str, Decimal], ...] = ()
    #: Seconds that it may run; None: as long as there is.
    max_seconds: int | None = None
    #: JSON object as text.
    metadata: str = "{}"
    #: Checksummed.
    viewers: tuple[str, ...] = ()


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
    #: Where to tell the consumer of the job; None for nowhere.
    webhook: Webhook | None = None
    #: True: on the owners' samples, free of orders.
    mock: bool = False
    #: What is wanted done with released results beside keeping them here; None for nothing.
    output: Output | None = None
    #: None: a job of the Provider API.
    tier: TierRequest | None = None


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
    #: What is done with the results of its present attempt, once it has ended.
    deliveries: Sequence[Delivery] = ()
    #: None where nothing is paid for its environment in the way of Ocean Node's API.
    payment: Payment | None = None


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
    #: True: of a mock job.
    mock: bool = False


@dataclass(frozen=True, slots=True)
class TierQuoteRequest:
    """What initializeCompute of Ocean Node's API asks: which orders a job needs, and what it would cost."""

    consumer: str
    environment: str
    tier: TierRequest
    datasets: tuple[AssetRequest, ...]
    algorithm: AssetRequest | None
    raw: RawAlgorithm | None
    #: What the caller says to the site's policy server, JSON text; empty for nothing.
    passed_on: str = ""
    #: As in a start.
    queue_wait: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What one item still needs: an order with this fee, or nothing (``valid_order``)."""

    datatoken: str
    fee: SignedFee | None
    valid_order: str | None
    #: 0 where it does not matter.
    chain_id: int = 0


@dataclass(frozen=True, slots=True)
class PaymentQuote:
    """What a job would have locked of its owner's tokens."""

    #: Address of the contract.
    escrow: str
    #: Who locks and claims: the provider.
    payee: str
    chain_id: int
    token: str
    #: Base units.
    amount: int
    lock_seconds: int


@dataclass(frozen=True, slots=True)
class TierQuote:
    """What a job of Ocean Node's API still needs."""

    datasets: tuple[Quote, ...]
    #: None for code of the consumer's own.
    algorithm: Quote | None
    #: None: its environment costs nothing.
    payment: PaymentQuote | None


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
