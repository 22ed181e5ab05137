"""``cove order``: a consumer's orders, placed on a chain in one command."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cove.cli import keys, output, submission
from cove.cli.market_chain import DryRun, market_errors
from cove.client import CoveClient, JobStatus, Signer

if TYPE_CHECKING:
    from cove.cli.ordering import Placed, Wanted
    from cove.client.journal import Journal

#: Under this name a journal has the digest of what was started with its orders.
_START: Final = "start"

Rpc = Annotated[
    str,
    typer.Option(
        "--rpc",
        envvar="COVE_RPC",
        metavar="URL",
        help="JSON-RPC of the assets' chain. It may hold an access key: then better in COVE_RPC.",
    ),
]
Seconds = Annotated[
    int | None,
    typer.Option("--seconds", min=1, help="Time of the environment to pay for. Default: as long as a run may take."),
]


def order(  # noqa: PLR0917 - typer reads options from parameters
    dataset: Annotated[list[str], typer.Option("--dataset", metavar="DID[:SERVICE]", help="May be repeated.")],
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", metavar="DID[:SERVICE]", help="A published algorithm; else raw code.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="ID", help="Default: the first on offer.")
    ] = None,
    seconds: Seconds = None,
    dry_run: DryRun = False,  # noqa: FBT002 - a flag
    rpc: Rpc = "",
    url: Annotated[str, typer.Option("--url", envvar="COVE_URL", help="Where the Cove is.")] = "http://127.0.0.1:8030",
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,  # noqa: FBT002
) -> None:
    """Order datasets and an algorithm with all that it takes, and print the options for cove submit.

    That is datatokens (given away, or bought at a fixed rate), approvals, and the provider's fee. Killed and run again,
    it goes on where it was, and pays nothing twice.
    """
    from cove.cli.ordering import Wanted  # noqa: PLC0415 - slow to import

    wanted = Wanted(
        datasets=tuple(submission.parse_asset(text) for text in dataset),
        algorithm=None if algorithm is None else submission.parse_asset(algorithm),
        container=None,
        environment=environment,
        seconds=seconds,
    )
    with output.reporting(as_json=as_json):
        signer = keys.account(key_file, password_file)
        with CoveClient(url, signer) as client:
            placed = _place(client, signer, rpc, wanted, dry_run=dry_run, as_json=as_json)
    if placed is None:
        return
    if as_json:
        output.document({"orders": list(placed.orders), "algorithmOrder": placed.algorithm_order})
    else:
        parts = [f"--order {one}" for one in placed.orders]
        parts += [f"--algorithm-order {placed.algorithm_order}"] if placed.algorithm_order else []
        typer.echo(" ".join(parts))
    forget(placed.journal)


def start_with_orders(
    client: CoveClient, signer: Signer, rpc: str, wanted: submission.Submission, seconds: int | None, *, as_json: bool
) -> tuple[JobStatus, Journal]:
    """Place the orders of a submission, and start it, or find the job that an earlier run started with them.

    Returns:
        The job, and the journal of its orders, which is to be removed once its user knows the job.
    """
    from dataclasses import replace  # noqa: PLC0415 - used here alone

    from cove.cli.ordering import Wanted  # noqa: PLC0415 - slow to import

    raw = wanted.raw
    container = (
        None
        if raw is None
        else {"image": raw.image, "tag": raw.tag, "entrypoint": raw.entrypoint, "checksum": raw.checksum}
    )
    what = Wanted(wanted.datasets, wanted.algorithm, container, wanted.environment, seconds)
    placed = _place(client, signer, rpc, what, dry_run=False, as_json=as_json)
    if placed is None:
        raise AssertionError("this was no dry run")
    paid = replace(wanted, orders=placed.orders, algorithm_order=placed.algorithm_order)
    request = submission.build(client, paid)
    digest = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
    job = _started_before(client, placed, digest)
    if job is None:
        placed.journal.note(_START, digest)
        job = client.start(request)
    return job, placed.journal


def forget(journal: Journal | None) -> None:
    """Forget what was placed, once what was printed of it is out: else it would be paid for again."""
    output.flush()
    if journal is not None:
        journal.remove()


def _started_before(client: CoveClient, placed: Placed, digest: str) -> JobStatus | None:
    """Give the job that an earlier run of the same command started, which its user was not told of."""
    before = placed.journal.fact(_START)
    if before is None:
        return None
    for job in client.status(owner=client.address, signed=True):
        if job.agreementId == placed.orders[0]:
            output.say(f"An earlier run started job {job.jobId} with these orders.")
            if before == digest:
                return job
    return None


def _place(
    client: CoveClient, signer: Signer, rpc: str, wanted: Wanted, *, dry_run: bool, as_json: bool
) -> Placed | None:
    from cove.cli import interruption  # noqa: PLC0415 - as the next
    from cove.cli.ordering import place  # noqa: PLC0415 - slow to import
    from cove.cli.owner import owner_errors  # noqa: PLC0415 - as the one before

    if not rpc.startswith(("http://", "https://")):
        raise typer.BadParameter("--rpc (or COVE_RPC) should be the http or https URL of a node of the assets' chain.")
    with owner_errors(as_json=as_json), market_errors(as_json=as_json):
        return interruption.run(place(client, signer, rpc, wanted, dry_run=dry_run, as_json=as_json))
