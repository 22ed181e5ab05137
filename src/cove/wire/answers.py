"""What the API answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


class ResultEntry(BaseModel):
    """One released file of a job."""

    filename: str = Field(description="Name, with the folders below the job's outputs")
    filesize: int | None = Field(None, description="Bytes; null in an answer that anybody may ask for")
    type: str = Field(description="imageLog, configurationLog, algorithmLog, output or publishLog")
    index: int = Field(description="The number to ask computeResult for")
    sha256: str | None = Field(
        default=None, description="Hex digest; null for the tar, which is built while it is sent"
    )
    wouldBe: str | None = Field(  # noqa: N815
        default=None,
        description="Of a mock run: what would have become of it on private data: released, held (for a person), "
        "refused, or cut (of a log, its end alone is released)",
    )
    wouldBeReason: str | None = Field(  # noqa: N815
        default=None,
        description="Of a mock run: why, where that is not released: leaked_rows, too_many_rows, log_off ..",
    )


class AttemptEntry(BaseModel):
    """How an earlier run of the job ended."""

    attempt: int = Field(description="Number of the run, from 1")
    outcome: str = Field(description="As in the status")
    reason: str = Field(description="As in the status; empty on success")
    startedAt: str | None = Field(description="When the algorithm began; null if it never did")  # noqa: N815
    finishedAt: str = Field(description="When the run ended")  # noqa: N815


class DeliveryEntry(BaseModel):
    """How far something is that is done with the job's results beside keeping them here."""

    kind: str = Field(
        description="storage: they are sent to the storage that output named; asset: they are published, see resultsDid"
    )
    state: str = Field(description="open, done or failed")
    sent: int = Field(description="Files that were sent so far; 0 of an asset")
    failedTries: int = Field(description="Tries that failed since something last went well")  # noqa: N815
    note: str | None = Field(default=None, description="What went wrong last, in one sentence; null for nothing")
    nextTryAt: str | None = Field(default=None, description="When it is tried again; null for now, and at the end")  # noqa: N815


class ResourceUse(BaseModel):
    """How much of something a job may use."""

    id: str = Field(description="cpu, ram, disk or gpu")
    amount: float = Field(description="Processors, or GiB of memory or disk")


class TerminationDetails(BaseModel):
    """How a job's algorithm ended."""

    exitCode: int | None = Field(default=None, description="Its exit code; null where there is none")  # noqa: N815
    OOMKilled: bool = Field(default=False, description="Whether it was ended for its memory")


class JobPayment(BaseModel):
    """What is paid for a job's environment through an escrow contract."""

    chainId: int = Field(description="Chain of the contract")  # noqa: N815
    token: str = Field(description="Address of the token")
    state: str = Field(description="locking, locked, claiming or closed")
    lockTx: str | None = Field(default=None, description="Transaction of the lock; null before it is mined")  # noqa: N815
    claimTx: str | None = Field(default=None, description="Transaction of the claim; null before it is mined")  # noqa: N815
    cancelTx: str | None = Field(default=None, description="The same, where nothing was claimed")  # noqa: N815
    locked: str = Field(description="Base units that are locked, or were")
    claimed: str = Field(description="Base units that the run cost; 0 until it is over")
    note: str | None = Field(default=None, description="What the lock waits for; null: nothing")


class StatusObject(BaseModel):
    """What the compute endpoints say of one job. Dates are Unix timestamps as text, as clients expect."""

    owner: str = Field(description="The account that started the job")
    documentId: str = Field(description="DID of the main dataset")  # noqa: N815
    jobId: str = Field(description="Its id, or a handle of it in an answer that anybody may ask for")  # noqa: N815
    dateCreated: str = Field(description="When it was accepted: Unix time as text, as all dates here")  # noqa: N815
    dateFinished: str | None = Field(description="When it ended; null before")  # noqa: N815
    status: int = Field(description="1, 10, 20, 30, 31, 32, 40, 50, 60 or 70; 31, 32 and 70 are final")
    statusText: str = Field(description="What the status says; of a job that has ended, how")  # noqa: N815
    algorithmLogUrl: str | None = Field(default=None, description="Link to the log; only in a signed answer")  # noqa: N815
    resultsUrls: list[str] = Field(default_factory=list, description="Links to the outputs, likewise")  # noqa: N815
    resultsDid: str = Field("", description="The asset that its results were published as; empty for none")  # noqa: N815
    agreementId: str = Field(description="Transaction of the main dataset's order")  # noqa: N815
    results: list[ResultEntry] | Literal[""] = Field("", description="Empty text before there are any")
    stopreq: int = Field(description="1 after a stop was asked for")
    removed: int = Field(description="1 in the answer to a delete")
    algoDID: str = Field(description="DID of the algorithm, or raw")  # noqa: N815
    inputDID: list[str] = Field(description="DIDs of all datasets")  # noqa: N815
    did: str = Field(description="The same as documentId")
    environment: str = Field(description="Id of the compute environment")
    mock: bool = Field(
        default=False, description="Whether it is a mock run: samples stood for the datasets, and nobody paid"
    )
    expireTimestamp: float = Field(description="When the paid period ends; 0 for never")  # noqa: N815
    outcome: str | None = Field(
        default=None,
        description="succeeded, stopped, timed_out, algorithm_failed or provider_failed; null before the end",
    )
    reason: str | None = Field(
        default=None, description="Why it did not succeed, for machines: exit_code_3, out_of_memory, time_limit .."
    )
    message: str | None = Field(default=None, description="The same in one sentence")
    releaseState: str | None = Field(  # noqa: N815
        default=None,
        description="Where its results are: checking, held (a person is to look at them), released, rejected, "
        "returned, expired or withdrawn; null before there are any",
    )
    exitCode: int | None = Field(default=None, description="Exit code of the algorithm; null where there is none")  # noqa: N815
    outOfMemory: bool = Field(default=False, description="Whether the algorithm was ended for its memory")  # noqa: N815
    attempt: int = Field(1, description="Number of the present run: 1, and 1 more with each restart")
    attempts: list[AttemptEntry] = Field(default_factory=list, description="Earlier runs of this job")
    startedAt: str | None = Field(default=None, description="When the algorithm began; null before")  # noqa: N815
    queuePosition: int | None = Field(default=None, description="1 is next; null once it left the queue")  # noqa: N815
    queueWaitSeconds: float | None = Field(  # noqa: N815
        default=None,
        description="Estimate of the seconds until it starts: the runs before it, each as long as the last ones of "
        "this environment took on average; null when none has ended yet, and once it left the queue",
    )
    queueWaitUntil: str | None = Field(  # noqa: N815
        default=None, description="When it stops waiting and ends (queueMaxWaitTime); null for never"
    )
    deliveries: list[DeliveryEntry] = Field(
        default_factory=list,
        description="Of a job with output that has ended: what is done with its results beside keeping them here",
    )
    progress: dict[str, Any] | None = Field(
        default=None,
        description="phase, elapsedSeconds, bytes while the image and data are brought, and what is being done",
    )
    isFree: bool | None = Field(  # noqa: N815
        default=None, description="Whether it pays nothing for its environment; this and below: of Ocean Node's API"
    )
    metadata: dict[str, str | float | bool] | None = Field(default=None, description="What its owner said of it")
    additionalViewers: list[str] | None = Field(  # noqa: N815
        default=None, description="Other accounts that may read its results"
    )
    maxJobDuration: int | None = Field(default=None, description="Seconds that it may run")  # noqa: N815
    resources: list[ResourceUse] | None = Field(default=None, description="What it may use")
    stopRequested: bool | None = Field(default=None, description="The same as stopreq")  # noqa: N815
    payment: JobPayment | None = Field(default=None, description="What is paid; null where it costs nothing")
    terminationDetails: TerminationDetails | None = Field(  # noqa: N815
        default=None, description="The same as exitCode and outOfMemory"
    )


class EnvironmentAccess(BaseModel):
    """Who may use an environment: any account that is named here, or holds one of the tokens."""

    addresses: list[str] = Field(description="Accounts")
    accessLists: list[dict[str, list[str]]] | None = Field(  # noqa: N815
        description="Contracts of tokens by chain id: who holds any may use the environment; null for none"
    )
    tokenIds: dict[str, list[str]] = Field(  # noqa: N815
        default_factory=dict, description="Of the ERC-1155 contracts among them: the ids of the tokens that count"
    )


class Environment(BaseModel):
    """One compute environment."""

    id: str = Field(description="Its name in requests")
    cpuNumber: float = Field(description="Processors that a job may use")  # noqa: N815
    cpuType: str = Field(description="Architecture of the processors")  # noqa: N815
    gpuNumber: int = Field(description="Graphics processors that a job may use")  # noqa: N815
    gpuType: str = Field(description="Their kind; empty for none")  # noqa: N815
    nCPU: float = Field(description="The same as cpuNumber")  # noqa: N815
    nGPU: int = Field(description="The same as gpuNumber")  # noqa: N815
    ramGB: float = Field(description="GiB of memory that a job may use")  # noqa: N815
    diskGB: float = Field(description="GiB that a job may write")  # noqa: N815
    priceMin: float = Field(description="Price of a minute in whole fee tokens")  # noqa: N815
    feeToken: str = Field(description="Address of the token that the fee is paid in; zeros where none is set")  # noqa: N815
    desc: str = Field(description="A sentence for people")
    currentJobs: int = Field(description="Jobs that are under way")  # noqa: N815
    maxJobs: int = Field(description="Jobs that run at a time")  # noqa: N815
    queuedJobs: int = Field(description="Jobs that wait")  # noqa: N815
    queueWaitSeconds: float | None = Field(  # noqa: N815
        description="How long a job that came now would wait, judged by the last runs; null before there were any"
    )
    queueMaxWaitTime: int = Field(default=0, description="Seconds that a job may wait; 0 for as long as it takes")  # noqa: N815
    maxQueuedJobs: int = Field(default=0, description="Jobs that may wait at a time")  # noqa: N815
    consumerAddress: str = Field(description="The provider's account")  # noqa: N815
    storageExpiry: int = Field(description="Seconds that results are kept; 0 for ever")  # noqa: N815
    maxJobDuration: int = Field(description="Seconds")  # noqa: N815
    lastSeen: str = Field(description="Unix time of this answer")  # noqa: N815
    allowedChainId: list[int] = Field(description="Chains whose orders it takes")  # noqa: N815
    engine: str = Field(description="What runs the jobs")
    images: list[str] = Field(description="Images that algorithms may name")
    allowedImages: list[str] = Field(  # noqa: N815
        default_factory=list,
        description="Patterns of the image names that may run here, * matches any text; empty: any of this provider's",
    )
    digestsOnly: bool = Field(  # noqa: N815
        default=False, description="Whether an algorithm's checksum must be sha256: and its image's whole digest"
    )
    access: EnvironmentAccess | None = Field(default=None, description="Who may use it; null: everybody")
    network: str = Field(description="none, or allowed: a job may reach the network where all datasets allow it")
    liveLogs: bool = Field(default=False, description="Whether computeLogs shows a running job's log")  # noqa: N815
    enforcement: dict[str, str] = Field(
        default_factory=dict, description="By what each limit of a run is enforced: cgroup, rlimit, sized tmpfs, none"
    )


class ProviderFee(BaseModel):
    """What the provider asks for the environment, signed."""

    providerFeeAddress: str = Field(description="Who is paid, and who signed")  # noqa: N815
    providerFeeToken: str = Field(description="Token that it is paid in")  # noqa: N815
    providerFeeAmount: str = Field(description="Base units of the token, decimal text")  # noqa: N815
    providerData: str = Field(description="0x hex of compact JSON")  # noqa: N815
    v: int = Field(description="Of the signature: 27 or 28")
    r: str = Field(description="Of the signature, 0x hex")
    s: str = Field(description="Of the signature, 0x hex")
    validUntil: int = Field(description="Unix time until which an order may carry it; 0 for ever")  # noqa: N815


class InitializedItem(BaseModel):
    """What one dataset or the algorithm still needs."""

    datatoken: str | None = Field(default=None, description="The token to order with")
    providerFee: ProviderFee | None = Field(  # noqa: N815
        default=None,
        description="What the order, or the reuse of one, must carry; absent where nothing more must be paid",
    )
    validOrder: str | None = Field(  # noqa: N815
        default=None,
        description="The order that was named and is still good; with a fee beside it, reuse it with that fee",
    )


class Initialized(BaseModel):
    """Answer of initializeCompute, in the order asked."""

    mock: bool | None = Field(
        default=None, description="True in the answer about a mock run: what has no fee needs no order"
    )
    datasets: list[InitializedItem] = Field(description="One for each dataset that was asked for, in that order")
    algorithm: InitializedItem | None = Field(default=None, description="The algorithm's; absent for code of your own")


class FileInfo(BaseModel):
    """What fileinfo says of one file."""

    type: str = Field(description="Type of the file object")
    valid: bool = Field(description="Whether it can be had now; without that, the fields below are absent")
    index: int = Field(description="Its place in the list, from 0")
    contentLength: str | None = Field(default=None, description="Bytes, as text; empty when its source does not say")  # noqa: N815
    contentType: str | None = Field(default=None, description="Media type; null or empty when its source does not say")  # noqa: N815
    filename: str | None = Field(default=None, description="Name that its source gives; null for none")
    checksum: str | None = Field(default=None, description="sha256, hexadecimal, where it was asked for")
    checksumType: str | None = Field(default=None, description="sha256")  # noqa: N815


class Root(BaseModel):
    """The root document."""

    software: str = Field(description="Cove")
    version: str = Field(description="Of Cove")
    chainIds: list[int] = Field(description="Chains whose assets and orders it knows")  # noqa: N815
    providerAddress: str = Field(description="Its account, which signs fees")  # noqa: N815
    providerAddresses: dict[str, str] = Field(description="The same by chain id")  # noqa: N815
    nodePublicKey: str = Field(  # noqa: N815
        default="", description="Its account's public key, 65 bytes in hex: encrypt with it what is for it alone"
    )
    #: A list of two, which every reader of OpenAPI can describe.
    serviceEndpoints: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(  # noqa: N815
        description="Method and path of each endpoint by name"
    )


class IndexStatus(BaseModel):
    """How far a chain is indexed."""

    last_block: int = Field(description="Last block that was read")
    head: int | None = Field(description="Newest block of the chain; null: not known since the start")
    behind: int | None = Field(description="Blocks that are still to be read; null: not known since the start")


class Health(BaseModel):
    """Answer of ``GET /health``."""

    status: str = Field(description="ok")
    index: dict[str, IndexStatus] = Field(description="How far each chain is indexed, by chain id")


class NonceAnswer(BaseModel):
    """Answer of ``GET nonce``."""

    nonce: str | None = Field(
        description="The text that was sent; 0 when the account used none (other providers say null)"
    )


class CheckedDocument(BaseModel):
    """A DDO that is as it should be, with a proof that the NFT's contract takes."""

    hash: str = Field(description="sha256 of the body, 0x hex")
    publicKey: str = Field(description="The provider's address")  # noqa: N815
    v: int = Field(description="Of the signature: 27 or 28")
    r: list[str] = Field(description="Of the signature, one word of 0x hex")
    s: list[str] = Field(description="Of the signature, one word of 0x hex")


class InitializedAccess(BaseModel):
    """What initialize gives: a fee to order with, or the order that is still good."""

    datatoken: str = Field(description="The token to order with")
    nonce: str = Field(description="The last nonce of consumerAddress; 0 for none")
    providerFee: ProviderFee | None = Field(  # noqa: N815
        default=None,
        description="What the order, or the reuse of one, must carry; absent where nothing more must be paid",
    )
    validOrder: str | None = Field(  # noqa: N815
        default=None,
        description="The order that was named and is still good; with a fee beside it, reuse it with that fee",
    )


class TokenAnswer(BaseModel):
    """What createAuthToken gives."""

    token: str = Field(description="JSON Web Token; send it as the header AuthToken, or Authorization: Bearer")


class TokenDeleted(BaseModel):
    """What deleteAuthToken gives."""

    success: str = Field(description="Token has been deactivated.")


class ErrorBody(BaseModel):
    """Every error: either ``success, message, errors`` (validation) or ``error``; ``code`` and ``hint`` beside."""

    success: bool | None = Field(default=None, description="false where errors is there")
    message: str | None = Field(default=None, description="Validation error, where errors is there")
    errors: dict[str, list[str] | str] | None = Field(
        default=None, description="Sentences by dotted field: what is wrong with it"
    )
    error: str | dict[str, str] | None = Field(default=None, description="A sentence, or the reason by dotted field")
    code: str | None = Field(default=None, description="Stable, for machines")
    hint: str | None = Field(default=None, description="What to do")
    context: str | None = Field(default=None, description="The path, or the part that does not answer")
