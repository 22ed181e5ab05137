"""Builds the request of ``cove submit`` from what stands on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cove.core.errors import Invalid
from cove.core.grant import read as read_grant
from cove.crypto.keys import keccak

if TYPE_CHECKING:
    from cove.client import CoveClient, Environment
    from cove.wire import StartCompute

_ASSET: Final = re.compile(r"(did:op:[0-9a-fA-F]{64})(?::(\S{1,256}))?", re.ASCII)
_TRANSACTION: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_MAX_INPUT: Final = 1 << 20
NO_CHECKSUM: Final = "sha256:" + "0" * 64

MaxWait = Annotated[
    int | None,
    typer.Option(
        "--max-wait",
        metavar="SECONDS",
        min=1,
        help="End the job, its orders unused, when it has waited so long for its run. Default: as long as the "
        "environment allows.",
    ),
]
Mock = Annotated[bool, typer.Option("--mock", help="Run on the owners' samples, without orders.")]


@dataclass(frozen=True, slots=True)
class AssetChoice:
    """An asset and one of its services."""

    did: str
    #: None takes the asset's first service that fits.
    service: str | None


@dataclass(frozen=True, slots=True)
class RawCode:
    """Code that is sent along instead of a published algorithm."""

    code: str
    image: str
    tag: str
    entrypoint: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What is to be run, on what, and what pays for it."""

    datasets: tuple[AssetChoice, ...]
    #: One transaction per dataset.
    orders: tuple[str, ...]
    #: None for raw code.
    algorithm: AssetChoice | None
    algorithm_order: str | None
    raw: RawCode | None
    #: None takes the first that is offered.
    environment: str | None
    custom_data: dict[str, object] | None
    #: Seconds that the job may wait for its run; None: as long as the environment allows.
    max_wait: int | None = None
    #: On the owners' samples, which needs no orders.
    mock: bool = False
    #: What is done with released results beside keeping them there; None for nothing.
    output: dict[str, object] | None = None


def parse_asset(text: str) -> AssetChoice:
    """Read ``did:op:..`` or ``did:op:..:service``.

    Raises:
        typer.BadParameter: It is neither.
    """
    match = _ASSET.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no DID: it should be did:op: and 64 hex digits, then maybe :service.")
    return AssetChoice(match[1], match[2])


def parse_order(text: str) -> str:
    """Read a transaction id, a grant's id, or the id of the grant in a file.

    Raises:
        typer.BadParameter: It is none.
    """
    if _TRANSACTION.fullmatch(text) is not None:
        return text
    path = Path(text)
    if not path.is_file():
        raise typer.BadParameter(f"{text!r} is no transaction id (0x and 64 hex digits), and no file with a grant.")
    try:
        return read_grant(read_text(path, "grant"), keccak)[0]
    except Invalid as problem:
        field, texts = next(iter(problem.errors.items()))
        raise typer.BadParameter(f"The file {path} holds no grant: {field}: {' '.join(texts)}") from None


def read_text(path: Path, what: str) -> str:
    """Read a small text file that the user names.

    Raises:
        typer.BadParameter: It cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_INPUT + 1)
    except OSError as problem:
        raise typer.BadParameter(f"The {what} {path} cannot be read: {problem.strerror}.") from None
    if len(content) > _MAX_INPUT:
        raise typer.BadParameter(f"The {what} {path} has more than {_MAX_INPUT} bytes.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"The {what} {path} is no UTF-8 text.") from None


def read_object(path: Path, what: str) -> dict[str, object]:
    """Read a JSON object from a file.

    Raises:
        typer.BadParameter: There is none in it.
    """
    try:
        value = json.loads(read_text(path, what))
    except ValueError as problem:
        raise typer.BadParameter(f"The {what} {path} is not valid JSON: {problem}.") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"The {what} {path} should hold a JSON object.")
    return value


def check(submission: Submission, *, placing: bool = False) -> None:
    """See that the options fit together.

    Args:
        submission: What was asked for.
        placing: The orders are placed by the command itself, so none may be named.

    Raises:
        typer.BadParameter: They do not.
    """
    if (submission.algorithm is None) == (submission.raw is None):
        raise typer.BadParameter("Give either --algorithm DID or --raw FILE.")
    if submission.mock:
        if placing or submission.orders:
            raise typer.BadParameter(
                "--mock runs on samples, which nobody orders: leave --order and --place-orders out."
            )
        return
    if placing:
        if submission.orders or submission.algorithm_order is not None:
            raise typer.BadParameter("--place-orders goes without --order and --algorithm-order.")
        return
    if len(submission.orders) > len(submission.datasets):
        raise typer.BadParameter("There are more --order than --dataset.")
    if len(submission.orders) != len(submission.datasets):
        raise typer.BadParameter(
            "Give one --order for each --dataset: the transaction that ordered it, or --place-orders."
        )
    if submission.algorithm is not None and submission.algorithm_order is None:
        raise typer.BadParameter("A published algorithm needs its --algorithm-order: the transaction that ordered it.")
    if submission.algorithm is None and submission.algorithm_order is not None:
        raise typer.BadParameter("--algorithm-order goes with --algorithm; raw code is not ordered.")


def environment_of(client: CoveClient, wanted: str | None) -> Environment:
    """Choose an environment of those on offer.

    Raises:
        typer.BadParameter: There is none, or none of this name.
    """
    offered = {entry.id: entry for entries in client.environments().values() for entry in entries}
    if not offered:
        raise typer.BadParameter("The server offers no environment.")
    if wanted is None:
        return next(iter(offered.values()))
    if wanted not in offered:
        raise typer.BadParameter(f"There is no environment {wanted!r}; the server offers: {', '.join(offered)}.")
    return offered[wanted]


def service_of(client: CoveClient, choice: AssetChoice, *, compute: bool) -> AssetChoice:
    """Complete a choice with the asset's first fitting service, read from its published document.

    Args:
        client: Where to ask.
        choice: The asset.
        compute: It must be a compute service.

    Raises:
        typer.BadParameter: There is none that fits.
    """
    if choice.service is not None:
        return choice
    services = client.document(choice.did).get("services")
    for service in services if isinstance(services, list) else []:
        if isinstance(service, dict) and (not compute or service.get("type") == "compute"):
            return AssetChoice(choice.did, str(service.get("id")))
    raise typer.BadParameter(f"{choice.did} has no {'compute ' if compute else ''}service; name it as DID:service.")


def build(client: CoveClient, submission: Submission) -> StartCompute:
    """Make the request, without its signature."""
    from cove.wire import StartCompute  # noqa: PLC0415 - slow to import

    environment = environment_of(client, submission.environment)
    orders = (None,) * len(submission.datasets) if submission.mock else submission.orders
    datasets = _datasets(client, submission.datasets, orders)
    return StartCompute.model_validate(
        {
            "environment": environment.id,
            "dataset": datasets[0],
            "additionalDatasets": datasets[1:] or None,
            "algorithm": _algorithm(client, submission),
            "queueMaxWaitTime": submission.max_wait,
            "mock": submission.mock or None,
            "output": submission.output,
        }
    )


def _datasets(
    client: CoveClient, choices: Sequence[AssetChoice], orders: Sequence[str | None]
) -> list[dict[str, object]]:
    found = [service_of(client, choice, compute=number == 0) for number, choice in enumerate(choices)]
    return [
        {"documentId": choice.did, "serviceId": choice.service, "transferTxId": order}
        for choice, order in zip(found, orders, strict=True)
    ]


def _algorithm(client: CoveClient, submission: Submission) -> dict[str, object]:
    custom: dict[str, object] = {} if submission.custom_data is None else {"algocustomdata": submission.custom_data}
    if submission.raw is not None:
        raw = submission.raw
        container = {
            "entrypoint": raw.entrypoint, "image": raw.image, "tag": raw.tag, "checksum": raw.checksum
        }  # fmt: skip
        return {"meta": {"rawcode": raw.code, "container": container}, **custom}
    if submission.algorithm is None:
        raise AssertionError("check() was not called")
    choice = service_of(client, submission.algorithm, compute=False)
    return {
        "documentId": choice.did,
        "serviceId": choice.service,
        "transferTxId": submission.algorithm_order,
        **custom,
    }
