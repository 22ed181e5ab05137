"""The HTTP API as data: what is sent and answered, and the table of status numbers. Web and client share it.

Requests are parsed leniently where clients in the field differ (unknown fields are ignored, a nonce may be a number
or a text), and strictly where it matters; answers are complete. Names are those of the Ocean Provider API.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cove.core.job import Job, Outcome, Phase

API_PREFIX: Final = "/api/services"

SERVICE_ENDPOINTS: Final[dict[str, tuple[str, str]]] = {
    "nonce": ("GET", f"{API_PREFIX}/nonce"),
    "encrypt": ("POST", f"{API_PREFIX}/encrypt"),
    "decrypt": ("POST", f"{API_PREFIX}/decrypt"),
    "fileinfo": ("POST", f"{API_PREFIX}/fileinfo"),
    "initializeCompute": ("POST", f"{API_PREFIX}/initializeCompute"),
    "computeEnvironments": ("GET", f"{API_PREFIX}/computeEnvironments"),
    "computeStart": ("POST", f"{API_PREFIX}/compute"),
    "computeStatus": ("GET", f"{API_PREFIX}/compute"),
    "computeStop": ("PUT", f"{API_PREFIX}/compute"),
    "computeDelete": ("DELETE", f"{API_PREFIX}/compute"),
    "computeResult": ("GET", f"{API_PREFIX}/computeResult"),
}
"""What the root document lists; clients read their paths from there."""

STATUS_TEXTS: Final[dict[int, str]] = {
    1: "Warming up",
    10: "Job started",
    20: "Configuring volumes",
    30: "Provisioning success",
    31: "Data provisioning failed",
    32: "Algorithm provisioning failed",
    40: "Running algorithm",
    50: "Filtering results",
    60: "Publishing results",
    70: "Job completed",
}
"""Status numbers and their texts, as documented."""

_PHASE_STATUS: Final[dict[Phase, int]] = {
    Phase.ACCEPTED: 1,
    Phase.PROVISIONING: 20,
    Phase.SUBMITTING: 30,
    Phase.RUNNING: 40,
    Phase.FILTERING: 50,
    Phase.PUBLISHING: 60,
    Phase.CLEANING: 60,
}

_FINAL_STATUS: Final[dict[str, int]] = {
    "data_unavailable": 31,
    "algorithm_unavailable": 32,
    "image_refused": 32,
}

_REASONS: Final[dict[str, str]] = {
    "time_limit": "time limit",
    "out_of_memory": "out of memory",
    "no_space": "no space left at the provider",
    "run_lost": "the provider lost the run",
}


def status_of(job: Job) -> tuple[int, str]:
    """Give a job's status number and text.

    The number 70 (and 31 and 32) means that nothing more will happen; the text then says how the job ended.
    """
    if job.phase is not Phase.DONE:
        number = _PHASE_STATUS[job.phase]
        return number, STATUS_TEXTS[number]
    number = _FINAL_STATUS.get(job.reason, 70)
    if number != 70:  # noqa: PLR2004 - the number of the table above
        return number, STATUS_TEXTS[number]
    match job.outcome:
        case Outcome.SUCCEEDED | None:
            return number, STATUS_TEXTS[number]
        case Outcome.STOPPED:
            return number, "Job stopped"
        case Outcome.TIMED_OUT | Outcome.ALGORITHM_FAILED | Outcome.PROVIDER_FAILED:
            return number, f"Job failed: {_REASONS.get(job.reason, job.reason.replace('_', ' '))}"


def _plain_text(value: object) -> object:
    """Keep a JSON number's own digits: clients send nonces as numbers and as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return str(value)
    return value


NumberText = Annotated[str, BeforeValidator(_plain_text)]


def _no_number(name: str) -> object:
    raise ValueError(name)


def _json_object(value: object) -> object:
    """Accept an object that was sent as JSON text (``userdata`` and ``output`` come both ways)."""
    if isinstance(value, str) and value.strip():
        try:
            return json.loads(value, parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return value
    return None if value == "" else value


JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", str_max_length=200_000)


class DatasetRef(_Body):
    """One dataset of a compute request."""

    documentId: str | None = Field(None, description="DID of the dataset (required)")  # noqa: N815 - the wire's name
    serviceId: str | None = Field(None, description="Id of its service (required)")  # noqa: N815
    transferTxId: str | None = Field(None, description="Transaction of the order (required to start)")  # noqa: N815
    userdata: JsonObject | None = Field(None, description="Parameters passed to the dataset's service")


class ContainerRef(_Body):
    """The container section of an algorithm's metadata."""

    entrypoint: str | None = None
    image: str | None = None
    tag: str | None = None
    checksum: str | None = None


class AlgorithmMeta(_Body):
    """An algorithm given in the request: raw code, or a URL."""

    rawcode: str | None = Field(None, max_length=200_000)
    url: str | None = None
    remote: JsonObject | None = None
    language: str | None = None
    version: str | None = None
    container: ContainerRef | None = None


class AlgorithmRef(_Body):
    """The algorithm of a compute request: published (documentId) or given (meta, which takes precedence)."""

    documentId: str | None = None  # noqa: N815
    serviceId: str | None = None  # noqa: N815
    transferTxId: str | None = None  # noqa: N815
    meta: AlgorithmMeta | None = None
    userdata: JsonObject | None = None
    algocustomdata: JsonObject | None = None


class StartCompute(_Body):
    """Body of ``POST compute``: start a job, or with ``jobId`` run a finished one again."""

    signature: str | None = None
    consumerAddress: str | None = None  # noqa: N815
    nonce: NumberText | None = None
    environment: str | None = None
    dataset: DatasetRef | None = None
    algorithm: AlgorithmRef | None = None
    additionalDatasets: list[DatasetRef] | None = Field(None, max_length=100)  # noqa: N815
    additionalInputs: list[DatasetRef] | None = Field(None, max_length=100)  # noqa: N815 - ocean.py's spelling
    output: JsonObject | None = None
    envs: dict[str, str] | None = None
    layout: Literal["did", "flat"] = "did"
    jobId: str | None = None  # noqa: N815
    refreshInputs: bool = False  # noqa: N815


class JobSelector(_Body):
    """Parameters of status, stop and delete; at least one of documentId, jobId, consumerAddress, agreementId."""

    signature: str | None = None
    consumerAddress: str | None = None  # noqa: N815
    nonce: NumberText | None = None
    documentId: str | None = None  # noqa: N815
    jobId: str | None = None  # noqa: N815
    agreementId: str | None = None  # noqa: N815


class ResultSelector(_Body):
    """Parameters of computeResult; ``expires`` and ``link`` replace nonce and signature in the status's own links."""

    signature: str | None = None
    consumerAddress: str | None = None  # noqa: N815
    nonce: NumberText | None = None
    jobId: str | None = None  # noqa: N815
    index: NumberText | None = None
    expires: NumberText | None = None
    link: str | None = None


class ComputePeriod(_Body):
    """Which environment, and until when it is paid."""

    env: str | None = None
    validUntil: NumberText | None = None  # noqa: N815


class InitializeCompute(_Body):
    """Body of ``POST initializeCompute``."""

    datasets: list[DatasetRef] | None = Field(None, max_length=101)
    algorithm: AlgorithmRef | None = None
    compute: ComputePeriod | None = None
    consumerAddress: str | None = None  # noqa: N815


class DecryptRequest(_Body):
    """Body (JSON or form) of ``POST decrypt``."""

    decrypterAddress: str | None = None  # noqa: N815
    chainId: NumberText | None = None  # noqa: N815
    dataNftAddress: str | None = None  # noqa: N815
    transactionId: str | None = None  # noqa: N815
    encryptedDocument: str | None = Field(None, max_length=4_000_000)  # noqa: N815
    flags: NumberText | None = None
    documentHash: str | None = None  # noqa: N815
    nonce: NumberText | None = None
    signature: str | None = None


class ResultEntry(BaseModel):
    """One released file of a job."""

    filename: str
    filesize: int = Field(description="Bytes")
    type: str = Field(description="imageLog, configurationLog, algorithmLog, output or publishLog")
    index: int = Field(description="The number to ask computeResult for")
    sha256: str | None = Field(None, description="Hex digest; null for the tar, which is built while it is sent")


class AttemptEntry(BaseModel):
    """How an earlier run of the job ended."""

    attempt: int
    outcome: str
    reason: str
    startedAt: str | None  # noqa: N815
    finishedAt: str  # noqa: N815


class StatusObject(BaseModel):
    """What the compute endpoints say of one job. Dates are Unix timestamps as text, as clients expect."""

    owner: str
    documentId: str = Field(description="DID of the main dataset")  # noqa: N815
    jobId: str  # noqa: N815
    dateCreated: str  # noqa: N815
    dateFinished: str | None  # noqa: N815
    status: int = Field(description="1, 10, 20, 30, 31, 32, 40, 50, 60 or 70; 31, 32 and 70 are final")
    statusText: str  # noqa: N815
    algorithmLogUrl: str | None = Field(None, description="Link to the log; only in a signed answer")  # noqa: N815
    resultsUrls: list[str] = Field(default_factory=list, description="Links to the outputs, likewise")  # noqa: N815
    resultsDid: str = Field("", description="Empty: Cove publishes results to their owner alone")  # noqa: N815
    agreementId: str  # noqa: N815
    results: list[ResultEntry] | Literal[""] = Field("", description="Empty text before there are any")
    stopreq: int = Field(description="1 after a stop was asked for")
    removed: int = Field(description="1 in the answer to a delete")
    algoDID: str = Field(description="DID of the algorithm, or raw")  # noqa: N815
    inputDID: list[str]  # noqa: N815
    did: str
    environment: str
    expireTimestamp: float = Field(description="When the paid period ends; 0 for never")  # noqa: N815
    outcome: str | None = None
    reason: str | None = None
    message: str | None = None
    exitCode: int | None = None  # noqa: N815
    outOfMemory: bool = False  # noqa: N815
    attempt: int = 1
    attempts: list[AttemptEntry] = Field(default_factory=list, description="Earlier runs of this job")
    startedAt: str | None = None  # noqa: N815
    queuePosition: int | None = Field(None, description="1 is next; null once it left the queue")  # noqa: N815
    progress: dict[str, Any] | None = Field(None, description="phase, elapsedSeconds, and bytes while data is brought")


class Environment(BaseModel):
    """One compute environment."""

    id: str
    cpuNumber: float  # noqa: N815
    cpuType: str  # noqa: N815
    gpuNumber: int  # noqa: N815
    gpuType: str  # noqa: N815
    nCPU: float  # noqa: N815
    nGPU: int  # noqa: N815
    ramGB: float  # noqa: N815
    diskGB: float  # noqa: N815
    priceMin: float = Field(description="Price of a minute in whole fee tokens")  # noqa: N815
    feeToken: str  # noqa: N815
    desc: str
    currentJobs: int  # noqa: N815
    maxJobs: int  # noqa: N815
    queuedJobs: int  # noqa: N815
    queueWaitSeconds: float  # noqa: N815
    consumerAddress: str  # noqa: N815
    storageExpiry: int = Field(description="Seconds that results are kept; 0 for ever")  # noqa: N815
    maxJobDuration: int = Field(description="Seconds")  # noqa: N815
    lastSeen: str  # noqa: N815
    allowedChainId: list[int]  # noqa: N815
    engine: str
    images: list[str]
    network: str


class ProviderFee(BaseModel):
    """What the provider asks for the environment, signed."""

    providerFeeAddress: str  # noqa: N815
    providerFeeToken: str  # noqa: N815
    providerFeeAmount: str = Field(description="Base units of the token, decimal text")  # noqa: N815
    providerData: str = Field(description="0x hex of compact JSON")  # noqa: N815
    v: int
    r: str
    s: str
    validUntil: int  # noqa: N815


class InitializedItem(BaseModel):
    """What one dataset or the algorithm still needs."""

    datatoken: str | None = None
    providerFee: ProviderFee | None = None  # noqa: N815
    validOrder: str | None = None  # noqa: N815


class Initialized(BaseModel):
    """Answer of initializeCompute, in the order asked."""

    datasets: list[InitializedItem]
    algorithm: InitializedItem | None = None


class FileInfo(BaseModel):
    """What fileinfo says of one file."""

    type: str
    valid: bool
    index: int
    contentLength: str | None = None  # noqa: N815
    contentType: str | None = None  # noqa: N815
    filename: str | None = None
    checksum: str | None = None
    checksumType: str | None = None  # noqa: N815


class Root(BaseModel):
    """The root document."""

    software: str
    version: str
    chainIds: list[int]  # noqa: N815
    providerAddress: str  # noqa: N815
    providerAddresses: dict[str, str]  # noqa: N815
    serviceEndpoints: dict[str, tuple[str, str]]  # noqa: N815


class NonceAnswer(BaseModel):
    """Answer of ``GET nonce``."""

    nonce: str | None


class ErrorBody(BaseModel):
    """Every error: either ``success, message, errors`` (validation) or ``error``; ``code`` and ``hint`` beside."""

    success: bool | None = None
    message: str | None = None
    errors: dict[str, list[str] | str] | None = None
    error: str | dict[str, str] | None = None
    code: str | None = None
    hint: str | None = None
    context: str | None = None
