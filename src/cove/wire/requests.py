"""What clients send."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


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


def _object_or_list(value: object) -> object:
    given = _json_object(value)
    if given is not None and not isinstance(given, dict | list):
        raise ValueError("should be a JSON object or a list of them")
    return given


PassedOn = Annotated[
    Any,
    BeforeValidator(_object_or_list),
    Field(description="Handed on to the site's policy server, where it has one"),
]


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
    policyServer: PassedOn = None  # noqa: N815


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


class LogSelector(_Body):
    """Parameters of computeLogs."""

    jobId: str | None = None  # noqa: N815
    consumerAddress: str | None = None  # noqa: N815
    nonce: NumberText | None = None
    signature: str | None = Field(None, description="Over consumerAddress, jobId and nonce")


class AccessRequest(_Body):
    """Parameters of initialize and download."""

    documentId: str | None = Field(None, description="DID of the asset")  # noqa: N815
    serviceId: str | None = Field(None, description="Id of its access service")  # noqa: N815
    fileIndex: NumberText | None = Field(None, description="Which of its files, from 0; the first by default")  # noqa: N815
    consumerAddress: str | None = None  # noqa: N815
    transferTxId: str | None = Field(None, description="Transaction of the order")  # noqa: N815
    validUntil: NumberText | None = Field(None, description="Unix time until which the fee is signed")  # noqa: N815
    environment: str | None = Field(None, description="Not looked at: access needs no environment")
    userdata: JsonObject | None = Field(None, description="Parameters passed to the service's files, JSON")
    nonce: NumberText | None = None
    signature: str | None = Field(None, description="Over documentId and nonce")
    policyServer: PassedOn = None  # noqa: N815


class TokenRequest(_Body):
    """Parameters of createAuthToken and deleteAuthToken."""

    address: str | None = Field(None, description="The account that the token is good for")
    nonce: NumberText | None = None
    expiration: NumberText | None = Field(None, description="Unix time in the future at which the token ends")
    signature: str | None = Field(None, description="Over address and nonce")
    token: str | None = Field(None, description="The token to take back")


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
    policyServer: PassedOn = None  # noqa: N815


class EncryptRequest(_Body):
    """Parameters of ``POST encrypt``, beside the body."""

    chainId: NumberText | None = Field(None, description="The asset's chain")  # noqa: N815
    consumerAddress: str | None = Field(None, description="Who asks, for the site's policy server; not proven")  # noqa: N815
    publisherAddress: str | None = Field(None, description="The same, as it was first called")  # noqa: N815
    policyServer: PassedOn = None  # noqa: N815


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
    policyServer: PassedOn = None  # noqa: N815
