"""What clients send."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema


def _plain_text(value: object) -> object:
    """Keep a JSON number's own digits: clients send nonces as numbers and as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return str(value)
    return value


NumberText = Annotated[
    str, BeforeValidator(_plain_text), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})
]


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


def _object_or_hex(value: object) -> object:
    given = _json_object(value)
    if given is not None and not isinstance(given, dict | str):
        raise ValueError("should be a JSON object, or hexadecimal text of an encrypted one")
    return given


OpenOrSealed = Annotated[
    Any,
    BeforeValidator(_object_or_hex),
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "string"}]}),
]

_QUEUE_WAIT: Final = (
    "Seconds that the job may wait for its run, 1 or more; then it ends, and its orders are not used up. Left out: as "
    "long as the environment allows"
)
_NONCE: Final = "A decimal number, greater than the last one that the account used"


# Names are the wire's. Every field may be absent as far as pydantic is concerned, so that one request names all that is
# missing in one answer; ``needs`` tells the OpenAPI document which ones the endpoints want.


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


class Body(BaseModel):
    """What all of them have in common."""

    model_config = ConfigDict(extra="ignore", str_max_length=200_000)


def needs(*names: str) -> ConfigDict:
    """Say which fields an endpoint wants."""
    return ConfigDict(json_schema_extra={"required": list(names)})


class DatasetRef(Body):
    """One dataset of a compute request."""

    model_config = needs("documentId", "serviceId")

    documentId: str | None = Field(default=None, description="DID of the dataset")  # noqa: N815 - the wire's name
    serviceId: str | None = Field(  # noqa: N815
        default=None, description="Id of its service; the main dataset's is a compute service"
    )
    transferTxId: str | None = Field(default=None, description="Transaction of the order; needed to start a job")  # noqa: N815
    userdata: JsonObject | None = Field(default=None, description="Your values of the service's consumer parameters")


class ContainerRef(Body):
    """The container section of an algorithm's metadata."""

    model_config = needs("entrypoint", "image", "checksum")

    entrypoint: str | None = Field(
        default=None, description="Command, $ALGO stands for the code's file; empty: the image's own"
    )
    image: str | None = Field(
        default=None, description="Name of the image; computeEnvironments lists those that there are"
    )
    tag: str | None = Field(default=None, description="Tag of the image; may be left out")
    checksum: str | None = Field(default=None, description="sha256: and the digest of the image")


class AlgorithmMeta(Body):
    """An algorithm given in the request: raw code, or a URL."""

    model_config = needs("container")

    rawcode: str | None = Field(default=None, max_length=200_000, description="The source text itself")
    url: str | None = Field(default=None, description="Where the source is, in place of rawcode; http or https")
    remote: JsonObject | None = Field(default=None, description="Not served: give rawcode or url")
    language: str | None = Field(default=None, description="Not looked at: the container says what runs the code")
    version: str | None = Field(default=None, description="Not looked at")
    container: ContainerRef | None = Field(default=None, description="What runs the code")


class AlgorithmRef(Body):
    """The algorithm of a compute request: published (documentId) or given (meta, which takes precedence)."""

    documentId: str | None = Field(default=None, description="DID of a published algorithm; it or meta is needed")  # noqa: N815
    serviceId: str | None = Field(default=None, description="Id of its service; needed with documentId")  # noqa: N815
    transferTxId: str | None = Field(  # noqa: N815
        default=None, description="Transaction of its order; needed with documentId to start a job"
    )
    meta: AlgorithmMeta | None = Field(default=None, description="An algorithm of your own; wins over documentId")
    userdata: JsonObject | None = Field(default=None, description="Your values of its service's consumer parameters")
    algocustomdata: JsonObject | None = Field(
        default=None,
        description="Your values of the algorithm's own parameters; the job reads them in algoCustomData.json",
    )


class WebhookRef(BaseModel):
    """Where to tell of a job."""

    url: str = Field(description="http or https, at a public address")
    secret: str = Field(description="whsec_ and the base64 of 24 to 64 random bytes; messages are signed with it")


class StartCompute(Body):
    """Body of ``POST compute``: start a job, or with ``jobId`` run a finished one again."""

    model_config = needs("consumerAddress", "nonce")

    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(
        default=None,
        description="Over consumerAddress, jobId, dataset.documentId and nonce; not needed with an auth token",
    )
    environment: str | None = Field(
        default=None, description="Id of a compute environment; may be left out where there is one alone"
    )
    dataset: DatasetRef | None = Field(default=None, description="The main dataset; needed to start a job")
    algorithm: AlgorithmRef | None = Field(default=None, description="What to run on it; needed to start a job")
    additionalDatasets: list[DatasetRef] | None = Field(  # noqa: N815
        default=None,
        max_length=100,
        description="Further datasets; those with an access service may be at another provider",
    )
    additionalInputs: list[DatasetRef] | None = Field(  # noqa: N815 - ocean.py's spelling
        default=None, max_length=100, description="Another spelling of additionalDatasets"
    )
    output: OpenOrSealed = Field(
        default=None,
        description="What is done with released results, which are kept here in any case: remoteStorage sends them to "
        "your own storage, encryption encrypts them to your public key (docs/howto/results-elsewhere.md). Or all of "
        "it encrypted to this provider's key: 0x and hex digits. Other members are not looked at",
    )
    envs: dict[str, str] | None = Field(default=None, description="Environment variables for the algorithm")
    layout: Literal["did", "flat"] = Field(
        "did", description="Where the job finds its files: in a folder for each DID, or all in one folder"
    )
    encryptedDockerRegistryAuth: str | None = Field(  # noqa: N815
        default=None,
        description="Login for the registry of a private image, encrypted to this provider's key: 0x and hex digits of "
        "a JSON object with username and password, or with auth",
    )
    jobId: str | None = Field(default=None, description="An ended job of yours that is to run again")  # noqa: N815
    refreshInputs: bool = Field(  # noqa: N815
        default=False, description="With jobId: accept that the data changed since the first run"
    )
    queueMaxWaitTime: NumberText | None = Field(default=None, description=_QUEUE_WAIT)  # noqa: N815
    mock: bool | None = Field(
        default=None,
        description="True: a trial on the synthetic samples that the datasets' owners give, in the same container, "
        "with the same checks, logs in full, and no orders; with jobId it must be what the job is",
    )
    webhook: WebhookRef | None = Field(
        default=None, description="Is told when the job's phase changes, by signed messages without private values"
    )
    policyServer: PassedOn = None  # noqa: N815


class JobSelector(Body):
    """Parameters of status, stop and delete; at least one of documentId, jobId, consumerAddress, agreementId."""

    jobId: str | None = Field(default=None, description="One job")  # noqa: N815
    documentId: str | None = Field(default=None, description="Jobs whose main dataset has this DID")  # noqa: N815
    agreementId: str | None = Field(default=None, description="Jobs that this order of the main dataset pays for")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Jobs of this account; when signed, your own")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(
        default=None, description="Over consumerAddress, jobId, documentId and nonce; not needed with an auth token"
    )


class ResultSelector(Body):
    """Parameters of computeResult; ``expires`` and ``link`` replace nonce and signature in the status's own links."""

    jobId: str | None = Field(default=None, description="The job")  # noqa: N815
    index: NumberText | None = Field(
        default=None, description="Which of its results, from 0; left out: the archive of all outputs"
    )
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(
        default=None,
        description="Over consumerAddress, jobId, index and nonce; not needed with an auth token or a link",
    )
    expires: NumberText | None = Field(default=None, description="Of a link in a signed status: Unix time of its end")
    link: str | None = Field(
        default=None, description="Of a link in a signed status: what proves it; replaces the signature"
    )


class LogSelector(Body):
    """Parameters of computeLogs."""

    jobId: str | None = Field(default=None, description="The job")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(
        default=None, description="Over consumerAddress, jobId and nonce; not needed with an auth token"
    )


class AccessRequest(Body):
    """Parameters of initialize and download."""

    documentId: str | None = Field(default=None, description="DID of the asset")  # noqa: N815
    serviceId: str | None = Field(default=None, description="Id of its access service")  # noqa: N815
    fileIndex: NumberText | None = Field(default=None, description="Which of its files, from 0; the first by default")  # noqa: N815
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    transferTxId: str | None = Field(default=None, description="Transaction of the order")  # noqa: N815
    validUntil: NumberText | None = Field(  # noqa: N815
        default=None, description="Unix time until which the fee is signed; 0 for ever"
    )
    environment: str | None = Field(default=None, description="Not looked at: access needs no environment")
    userdata: JsonObject | None = Field(
        default=None, description="Your values of the service's consumer parameters, JSON"
    )
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(default=None, description="Over documentId and nonce; not needed with an auth token")
    policyServer: PassedOn = None  # noqa: N815


class TokenRequest(Body):
    """Parameters of createAuthToken and deleteAuthToken."""

    address: str | None = Field(default=None, description="The account that the token is good for")
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    expiration: NumberText | None = Field(default=None, description="Unix time in the future at which the token ends")
    signature: str | None = Field(default=None, description="Over address and nonce")
    token: str | None = Field(default=None, description="The token to take back")


class ComputePeriod(Body):
    """Which environment, and until when it is paid."""

    model_config = needs("validUntil")

    env: str | None = Field(
        default=None, description="Id of a compute environment; may be left out where there is one alone"
    )
    validUntil: NumberText | None = Field(default=None, description="Unix time of the end of the paid period")  # noqa: N815


class InitializeCompute(Body):
    """Body of ``POST initializeCompute``."""

    model_config = needs("datasets", "algorithm", "compute", "consumerAddress")

    datasets: list[DatasetRef] | None = Field(
        default=None, max_length=101, description="The main dataset, then further ones"
    )
    algorithm: AlgorithmRef | None = Field(default=None, description="What is to run on them")
    compute: ComputePeriod | None = Field(default=None, description="Where, and until when")
    consumerAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    queueMaxWaitTime: NumberText | None = Field(  # noqa: N815
        default=None, description="As in POST compute; only its form is looked at"
    )
    mock: bool | None = Field(
        default=None,
        description="True: ask for a mock run, which needs no orders but of an algorithm whose owner wants one; it is "
        "refused where a dataset has no sample",
    )
    policyServer: PassedOn = None  # noqa: N815


class EncryptRequest(Body):
    """Parameters of ``POST encrypt``, beside the body."""

    chainId: NumberText | None = Field(  # noqa: N815
        default=None, description="The chain that the asset is on, or will be"
    )
    consumerAddress: str | None = Field(  # noqa: N815
        default=None, description="Who asks, for the site's policy server; proven only by a signature"
    )
    publisherAddress: str | None = Field(default=None, description="The same, as it was first called")  # noqa: N815
    nonce: NumberText | None = Field(default=None, description=f"{_NONCE}; needed with a signature")
    signature: str | None = Field(
        default=None, description="Over consumerAddress, nonce and the word encrypt; may be left out"
    )
    policyServer: PassedOn = None  # noqa: N815


class DecryptRequest(Body):
    """Body (JSON or form) of ``POST decrypt``."""

    model_config = needs("decrypterAddress", "chainId", "dataNftAddress", "nonce")

    decrypterAddress: str | None = Field(default=None, description="Your account")  # noqa: N815
    chainId: NumberText | None = Field(default=None, description="The chain that the asset is on")  # noqa: N815
    dataNftAddress: str | None = Field(default=None, description="The asset's NFT")  # noqa: N815
    transactionId: str | None = Field(default=None, description="Transaction that published or updated the DDO")  # noqa: N815
    encryptedDocument: str | None = Field(  # noqa: N815
        default=None, max_length=4_000_000, description="In place of transactionId: the document, hexadecimal"
    )
    flags: NumberText | None = Field(
        default=None, description="With encryptedDocument: 1 compressed (LZMA) plus 2 encrypted"
    )
    documentHash: str | None = Field(  # noqa: N815
        default=None, description="With encryptedDocument: its sha256 in clear, hexadecimal"
    )
    nonce: NumberText | None = Field(default=None, description=_NONCE)
    signature: str | None = Field(
        default=None,
        description="Over transactionId (without one: dataNftAddress), decrypterAddress, chainId and nonce; not needed "
        "with an auth token",
    )
    policyServer: PassedOn = None  # noqa: N815


class FileQuery(Body):
    """Body of ``POST fileinfo``: a published service by did and serviceId, or a file object, which is read by hand."""

    did: str | None = Field(
        default=None, description="DID of an asset, with serviceId; without it the body is a file object"
    )
    serviceId: str | None = Field(default=None, description="Id of the service whose files are meant")  # noqa: N815
    type: str | None = Field(
        default=None,
        description="Of a file object: url, ipfs, arweave, graphql, smartcontract or s3; the other fields are those of "
        "the DDO specification",
    )
    url: str | None = Field(default=None, description="Of a file object of type url or graphql")
    method: str | None = Field(default=None, description="Of a file object of type url: GET (the default) or POST")
    headers: dict[str, str] | list[dict[str, str]] | None = Field(
        default=None, description="Of a file object of type url or graphql: what is sent along"
    )
    userdata: JsonObject | None = Field(
        default=None, description="With a file object: your values of consumer parameters"
    )
    checksum: bool = Field(default=False, description="Give the sha256 too, of files up to 1 GiB")
