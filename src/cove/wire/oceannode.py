"""What clients of Ocean Node's API (``@oceanprotocol/lib`` from 4.0.0 on) send, and what they are answered.

Only what differs from the Provider API stands here; the endpoints that both have alike are in ``requests`` and
``answers``.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, Field

from cove.wire.answers import EnvironmentAccess, ProviderFee
from cove.wire.requests import AlgorithmRef, Body, DatasetRef, JsonObject, NumberText, PassedOn, needs

_NONCE: Final = "A decimal number, greater than the last one that the account used; not needed with a token"
_QUEUE_WAIT: Final = "Seconds that the job may wait for its run, 1 or more; left out: as long as the environment allows"


def _signature(command: str) -> Any:  # noqa: ANN401 - as pydantic has it
    text = f"Over consumerAddress, nonce and the word {command}; not needed with a token"
    return Field(default=None, description=text)


class ResourceAmount(Body):
    """How much of something a job wants."""

    model_config = needs("id", "amount")

    id: str | None = Field(default=None, description="cpu, ram, disk or gpu")
    amount: NumberText | None = Field(default=None, description="Processors, or GiB of memory or disk")


class NodeAlgorithm(AlgorithmRef):
    """The algorithm of a job: published (documentId), or given (meta with rawcode or url, which takes precedence)."""

    envs: dict[str, str] | None = Field(default=None, description="Environment variables for the algorithm")


class Payment(Body):
    """What a job is to be paid with."""

    chainId: NumberText | None = Field(default=None, description="Chain of the token")  # noqa: N815
    token: str | None = Field(default=None, description="The token's address")
    maxJobDuration: NumberText | None = Field(default=None, description="Seconds that are paid for")  # noqa: N815
    resources: list[ResourceAmount] | None = Field(
        default=None, max_length=20, description="What is wanted; what is left out is given at its least"
    )


class StartJob(Body):
    """Body of ``POST freeCompute``, and of a ``POST compute`` that is to be paid through an escrow contract."""

    model_config = needs("consumerAddress", "datasets", "algorithm")

    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = _signature("freeStartCompute (POST compute: startCompute)")
    environment: str | None = Field(
        default=None, description="Id of a compute environment; may be left out where there is one alone"
    )
    datasets: list[DatasetRef] | None = Field(
        default=None, max_length=101, description="The main dataset, then further ones"
    )
    algorithm: NodeAlgorithm | None = Field(default=None, description="What to run on them")
    resources: list[ResourceAmount] | None = Field(
        default=None, max_length=20, description="What is wanted; what is left out is given at its least"
    )
    maxJobDuration: NumberText | None = Field(  # noqa: N815
        default=None, description="Seconds that it may run, 1 or more; left out: as long as there is"
    )
    payment: Payment | None = Field(default=None, description="What pays for it; not looked at where it is free")
    metadata: JsonObject | None = Field(
        default=None, description="Your own words about the job: texts, numbers, true and false by name"
    )
    additionalViewers: list[str] | None = Field(  # noqa: N815
        default=None, max_length=50, description="Accounts that may read its results too"
    )
    output: Any = Field(default=None, description="Not served: results are kept here for their owner")
    outputBucketId: str | None = Field(default=None, description="Not served either")  # noqa: N815
    queueMaxWaitTime: NumberText | None = Field(default=None, description=_QUEUE_WAIT)  # noqa: N815
    encryptedDockerRegistryAuth: str | None = Field(  # noqa: N815
        default=None,
        description="Login for the registry of a private image, encrypted to nodePublicKey of the root document: hex "
        "digits of a JSON object with username and password, or with auth",
    )
    policyServer: PassedOn = None  # noqa: N815


class InitializeJob(Body):
    """Body of ``POST initializeCompute`` with ``payment``."""

    model_config = needs("datasets", "algorithm", "payment", "consumerAddress")

    datasets: list[DatasetRef] | None = Field(
        default=None, max_length=101, description="The main dataset, then further ones"
    )
    algorithm: NodeAlgorithm | None = Field(default=None, description="What is to run on them")
    environment: str | None = Field(
        default=None, description="Id of a compute environment; may be left out where there is one alone"
    )
    payment: Payment | None = Field(default=None, description="What is to pay for it")
    maxJobDuration: NumberText | None = Field(default=None, description="Seconds that it may run")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    queueMaxWaitTime: NumberText | None = Field(default=None, description=_QUEUE_WAIT)  # noqa: N815
    output: Any = Field(default=None, description="Not served: results are kept here for their owner")
    policyServer: PassedOn = None  # noqa: N815


class StreamSelector(Body):
    """Parameters of computeStreamableLogs."""

    jobId: str | None = Field(default=None, description="The job")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = _signature("getComputeStreamableLogs")


class NodeTokenRequest(Body):
    """Body of ``POST auth/token`` and ``POST auth/token/invalidate``."""

    model_config = needs("address", "nonce", "signature")

    address: str | None = Field(default=None, description="The account that the token is good for")
    nonce: NumberText | None = Field(
        default=None, description="A decimal number, greater than the last one that the account used"
    )
    signature: str | None = Field(
        default=None, description="Over address, nonce and the word createAuthToken, or invalidateAuthToken"
    )
    validUntil: NumberText | None = Field(  # noqa: N815
        default=None, description="Unix time at which a new token ends; left out: a day from now"
    )
    token: str | None = Field(default=None, description="The token to take back")


class NodeItem(BaseModel):
    """What one dataset or the algorithm still needs."""

    did: str | None = Field(default=None, description="The asset")
    serviceId: str | None = Field(default=None, description="Its service")  # noqa: N815
    datatoken: str | None = Field(default=None, description="The token to order with")
    chainId: int | None = Field(default=None, description="Chain of the token")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Who is to be the order's consumer")  # noqa: N815
    validOrder: str | bool = Field(  # noqa: N815
        default=False, description="The order that was named and is still good; false for none"
    )
    providerFee: ProviderFee | None = Field(  # noqa: N815
        default=None, description="What an order must carry; absent where there is a good one"
    )


class PaymentNeeds(BaseModel):
    """What a job would have locked of its owner's tokens: deposit them, and authorize the payee."""

    escrowAddress: str = Field(description="The escrow contract")  # noqa: N815
    payee: str = Field(description="Who is to be authorized: the provider")
    chainId: int = Field(description="Chain of the contract")  # noqa: N815
    token: str = Field(description="The token's address")
    amount: str = Field(description="Base units of the token, decimal text: what the longest run costs")
    minLockSeconds: int = Field(description="Seconds that the payee must be allowed to lock for")  # noqa: N815


class InitializedJob(BaseModel):
    """Answer of initializeCompute to a body with ``payment``."""

    datasets: list[NodeItem] = Field(description="One for each dataset that was asked for, in that order")
    algorithm: NodeItem = Field(description="The algorithm's; without a datatoken for code of your own")
    payment: PaymentNeeds | None = Field(default=None, description="Absent where nothing is to be paid")


class NodeToken(BaseModel):
    """Answer of ``POST auth/token``."""

    token: str = Field(description="Goes into the header Authorization, in place of nonce and signature")


class NodeTokenTaken(BaseModel):
    """Answer of ``POST auth/token/invalidate``."""

    success: bool = Field(description="true")


class ResourceOffer(BaseModel):
    """One thing that a job can have more or less of."""

    id: str = Field(description="cpu, ram, disk or gpu")
    type: str = Field(description="The same")
    kind: str = Field(description="Which: of processors their architecture, of graphics processors what they are")
    total: float = Field(description="What all runs at a time can have together")
    min: float = Field(description="What a job gets that asks for less")
    max: float = Field(description="What one job can have")
    inUse: float = Field(description="What the jobs under way may use")  # noqa: N815


class TokenPrice(BaseModel):
    """Price of one resource."""

    id: str = Field(description="Of the resource")
    price: float = Field(description="Whole tokens for one of it and a minute")


class TokenPrices(BaseModel):
    """Prices in one token."""

    feeToken: str = Field(description="The token's address")  # noqa: N815
    prices: list[TokenPrice] = Field(description="By resource")


class FreeOffer(BaseModel):
    """What is to be had without payment."""

    access: EnvironmentAccess | None = Field(default=None, description="Who may; null: whoever may use the environment")
    storageExpiry: int = Field(description="Seconds that results are kept; 0 for ever")  # noqa: N815
    maxJobDuration: int = Field(description="Seconds that a run may take")  # noqa: N815
    maxJobs: int = Field(description="Free jobs that run at a time")  # noqa: N815
    resources: list[ResourceOffer] = Field(description="What a job can have")


class NodePlatform(BaseModel):
    """What the jobs run on."""

    architecture: str = Field(description="Of the processors")
    os: str = Field(description="The operating system")


class NodeEnvironment(BaseModel):
    """One compute environment, as Ocean Node describes its own."""

    id: str = Field(description="Its name in requests")
    description: str = Field(description="A sentence for people")
    consumerAddress: str = Field(description="The provider's account: the consumer of orders")  # noqa: N815
    access: EnvironmentAccess | None = Field(default=None, description="Who may use it; null: everybody")
    storageExpiry: int = Field(description="Seconds that results are kept; 0 for ever")  # noqa: N815
    minJobDuration: int = Field(description="Seconds that are paid for at the least")  # noqa: N815
    maxJobDuration: int = Field(description="Seconds that a run may take")  # noqa: N815
    maxJobs: int = Field(description="Jobs that run at a time")  # noqa: N815
    runningJobs: int = Field(description="Jobs that are under way")  # noqa: N815
    queuedJobs: int = Field(description="Jobs that wait")  # noqa: N815
    queMaxWaitTime: int = Field(description="Seconds that a job may wait; 0 for as long as it takes")  # noqa: N815
    fees: dict[str, list[TokenPrices]] = Field(description="Prices by chain; empty: no payments are taken")
    resources: list[ResourceOffer] = Field(description="What a job can have")
    free: FreeOffer | None = Field(default=None, description="What is to be had without payment; absent: nothing")
    platform: NodePlatform = Field(description="What the jobs run on")
