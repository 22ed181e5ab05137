"""What the API answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class ResultEntry(BaseModel):
    """One released file of a job."""

    filename: str
    filesize: int | None = Field(None, description="Bytes; null in an answer that anybody may ask for")
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
    jobId: str = Field(description="The job's id, or a handle of it in an answer that anybody may ask for")  # noqa: N815
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
    liveLogs: bool = Field(default=False, description="Whether computeLogs shows a running job's log")  # noqa: N815
    enforcement: dict[str, str] = Field(
        default_factory=dict, description="By what each limit of a run is enforced: cgroup, rlimit, sized tmpfs, none"
    )


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
    #: Method and path of each endpoint; a list of two, which every reader of OpenAPI can describe.
    serviceEndpoints: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]]  # noqa: N815


class NonceAnswer(BaseModel):
    """Answer of ``GET nonce``."""

    nonce: str = Field(description="The last one used; 0 when none was (other providers say null)")


class CheckedDocument(BaseModel):
    """A DDO that could be read here, in the form of a validator's proof; address zero proves nothing."""

    hash: str = Field(description="sha256 of the body, 0x hex")
    publicKey: str  # noqa: N815
    v: int
    r: list[str]
    s: list[str]


class InitializedAccess(BaseModel):
    """What initialize gives: a fee to order with, or the order that is still good."""

    datatoken: str
    nonce: str
    providerFee: ProviderFee | None = None  # noqa: N815
    validOrder: str | None = None  # noqa: N815


class TokenAnswer(BaseModel):
    """What createAuthToken gives."""

    token: str


class TokenDeleted(BaseModel):
    """What deleteAuthToken gives."""

    success: str


class ErrorBody(BaseModel):
    """Every error: either ``success, message, errors`` (validation) or ``error``; ``code`` and ``hint`` beside."""

    success: bool | None = None
    message: str | None = None
    errors: dict[str, list[str] | str] | None = None
    error: str | dict[str, str] | None = None
    code: str | None = None
    hint: str | None = None
    context: str | None = None
