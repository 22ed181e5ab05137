"""The consumer's commands: find an environment, start a job, follow it, fetch its results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from cove.cli import elsewhere, keys, output, submission
from cove.cli.fetch import fetch
from cove.cli.order import Rpc, Seconds, forget, order, start_with_orders
from cove.cli.progress import phase_text, watch_job
from cove.client import (
    CoveClient,
    JobFailed,
    JobStatus,
    NotThere,
    ResultEntry,
    Signer,
    succeeded,
)

_MAX_LOG: Final = 16 << 20

Url = Annotated[str, typer.Option("--url", envvar="COVE_URL", help="Where the Cove is.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="COVE_ACCOUNT_KEY_FILE",
        help="File with your account's private key. COVE_ACCOUNT_KEY may hold the key itself.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


def _named(job: str | None) -> str | None:
    """Refuse an empty id, which is a script's variable that was never set."""
    if job is not None and not job.strip():
        raise typer.BadParameter("the job's id is empty.")
    return job


JobName = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", callback=_named)]
DEFAULT_URL: Final = "http://127.0.0.1:8030"


def environments(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the compute environments on offer."""
    with _session(url, None, as_json=as_json) as client:
        found = client.environments()
    if as_json:
        output.document({chain: [entry.model_dump() for entry in entries] for chain, entries in found.items()})
        return
    rows = [
        (
            chain,
            entry.id,
            f"{entry.cpuNumber:g}",
            f"{entry.ramGB:g} GB",
            f"{entry.diskGB:g} GB",
            f"{entry.maxJobDuration} s",
            f"{entry.priceMin:g}",
            f"{entry.currentJobs} of {entry.maxJobs}, {entry.queuedJobs} waiting",
            ", ".join(entry.images),
        )
        for chain, entries in found.items()
        for entry in entries
    ]
    output.table(("Chain", "Id", "CPUs", "Memory", "Disk", "Longest run", "Price/min", "Jobs", "Images"), rows)


def submit(  # noqa: PLR0917 - typer reads options from parameters
    dataset: Annotated[list[str], typer.Option("--dataset", metavar="DID[:SERVICE]", help="May be repeated.")],
    order: Annotated[
        list[str] | None,
        typer.Option(
            "--order",
            metavar="TX|FILE",
            help="Transaction of the order (startOrder) of each dataset, in the same sequence, or the file of a grant. "
            "An order is placed before, with the fee that initializeCompute quotes: by a market's page, or "
            "cove.client.market.order in Python.",
        ),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", metavar="DID[:SERVICE]", help="A published algorithm.")
    ] = None,
    algorithm_order: Annotated[
        str | None, typer.Option("--algorithm-order", metavar="TX|FILE", help="Transaction of its order, or a grant.")
    ] = None,
    raw: Annotated[Path | None, typer.Option("--raw", metavar="FILE", help="Code to send along instead.")] = None,
    image: Annotated[str, typer.Option("--image", help="Image that --raw runs in.")] = "cove/host",
    tag: Annotated[str, typer.Option("--tag", help="The image's tag.")] = "latest",
    entrypoint: Annotated[str, typer.Option("--entrypoint", help="How --raw is started.")] = "python3 $ALGO",
    checksum: Annotated[
        str, typer.Option("--checksum", metavar="sha256:..", help="The image's digest, where it has one.")
    ] = submission.NO_CHECKSUM,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="ID", help="Default: the first on offer.")
    ] = None,
    custom_data: Annotated[
        Path | None, typer.Option("--custom-data", metavar="FILE", help="JSON object for the algorithm.")
    ] = None,
    place_orders: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--place-orders", help="Order everything on the chain of --rpc first, as cove order does.")
    ] = False,
    seconds: Seconds = None,
    rpc: Rpc = "",
    send_to: elsewhere.SendTo = None,
    encrypt_to: elsewhere.EncryptTo = None,
    publish_output: elsewhere.PublishOutput = None,
    publish_log: elsewhere.PublishLog = False,  # noqa: FBT002 - a flag
    max_wait: submission.MaxWait = None,
    mock: submission.Mock = False,  # noqa: FBT002 - a flag
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 when the job fails.")] = False,  # noqa: FBT002
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    password_file: keys.PasswordFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Start a job on datasets that were ordered before, or are ordered now; prints its id."""
    wanted = submission.Submission(
        datasets=tuple(submission.parse_asset(text) for text in dataset),
        orders=tuple(submission.parse_order(text) for text in order or ()),
        algorithm=None if algorithm is None else submission.parse_asset(algorithm),
        algorithm_order=None if algorithm_order is None else submission.parse_order(algorithm_order),
        raw=None
        if raw is None
        else submission.RawCode(submission.read_text(raw, "code"), image, tag, entrypoint, checksum),
        environment=environment,
        custom_data=None if custom_data is None else submission.read_object(custom_data, "custom data"),
        max_wait=max_wait,
        mock=mock,
        output=elsewhere.output_of(send_to, encrypt_to, publish_output, publish_log=publish_log),
    )
    submission.check(wanted, placing=place_orders)
    with output.reporting(as_json=as_json):
        signer = (keys.account if place_orders else keys.known_account)(key_file, password_file)
    wanted = replace(wanted, output=elsewhere.with_key(wanted.output, signer))
    with _signed_session(url, signer, as_json=as_json) as client:
        journal = None
        if signer is not None and place_orders:
            job, journal = start_with_orders(client, signer, rpc, wanted, seconds, as_json=as_json)
        else:
            job = client.start(submission.build(client, wanted))
        if wait:
            output.say(f"Job {job.jobId}")
            forget(journal)
            _report_end(watch_job(client, job.jobId, output.error_console()), as_json=as_json)
        elif as_json:
            output.document(job.model_dump())
        else:
            typer.echo(output.one_line(job.jobId))
        forget(journal)


def status(  # noqa: PLR0917 - typer reads options from parameters
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Without it: your jobs.", callback=_named)] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", metavar="DID", help="Only jobs on this dataset.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the job to its end; exit 1 when it failed.")] = False,  # noqa: FBT002 - a flag
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Show one job, or all of yours."""
    if watch and job is None:
        raise typer.BadParameter("--watch needs a JOB.")
    if dataset is not None and job is not None:
        raise typer.BadParameter("Give either a JOB or --dataset.")
    with _session(url, key_file, as_json=as_json) as client:
        if job is not None and watch:
            _report_end(watch_job(client, job, output.error_console()), as_json=as_json)
        elif job is not None:
            _show_job(client.job(job), as_json=as_json)
        else:
            _show_jobs(client.status(document_id=dataset, signed=True), as_json=as_json)


def stop(
    job: JobName,
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Ask for the end of a job; what it wrote so far is kept."""
    with _session(url, key_file, as_json=as_json) as client:
        _show_job(_only(client.stop(job)), as_json=as_json)


def restart(  # noqa: PLR0917 - typer reads options from parameters
    job: JobName,
    refresh_inputs: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--refresh-inputs", help="Accept that the data changed since.")
    ] = False,
    max_wait: submission.MaxWait = None,
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Run an ended job again, under the same id."""
    with _session(url, key_file, as_json=as_json) as client:
        again = client.restart(job, refresh_inputs=refresh_inputs, max_wait=max_wait)
        _show_job(again, as_json=as_json)


def delete(
    job: JobName,
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Remove a job with all its results; a running one is stopped first."""
    with _session(url, key_file, as_json=as_json) as client:
        removed = _only(client.delete(job))
        if as_json:
            output.document(removed.model_dump())
        else:
            output.say(f"Removed {removed.jobId}.")


Follow = Annotated[
    bool,
    typer.Option("--follow", "-f", help="Say what happens to the job, and print its log: live where it is shown."),
]


def logs(
    job: JobName,
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
    follow: Follow = False,  # noqa: FBT002 - a flag
) -> None:
    """Print what a job's algorithm wrote to its log; control characters are made visible."""
    if follow and as_json:
        raise typer.BadParameter("--follow prints the log as it comes, which is no JSON document.")
    with _session(url, key_file, as_json=as_json) as client:
        if follow:
            for text in client.follow_log(job, lambda phase: output.say(output.one_line(phase))):
                typer.echo(output.neutral(text), nl=False)
            return
        found = client.job(job)
        entries = [
            entry for entry in client.results(found) if entry.type.endswith("Log") and entry.type != "publishLog"
        ]
        chosen = [entry for entry in entries if entry.type == "algorithmLog"] or entries
        if not chosen:
            raise NotThere(404, "not_found", {}, f"The job has no log yet ({found.statusText}).")
        texts = [
            (entry, client.read_result(job, entry.index, limit=_MAX_LOG).decode("utf-8", "replace")) for entry in chosen
        ]
    if as_json:
        parts = [{"filename": entry.filename, "type": entry.type, "text": text} for entry, text in texts]
        output.document({"jobId": job, "logs": parts})
        return
    for entry, text in texts:
        if len(texts) > 1:
            output.say(f"--- {output.one_line(entry.filename)}")
        shown = output.neutral(text)
        typer.echo(shown, nl=bool(shown) and not shown.endswith("\n"))


def results(  # noqa: PLR0917 - typer reads options from parameters
    job: JobName,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Fetch the files into this folder.")] = None,
    index: Annotated[list[int] | None, typer.Option("--index", min=0, help="Only this one; may be repeated.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,  # noqa: FBT002
    url: Url = DEFAULT_URL,
    key_file: KeyFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List a job's results, or fetch them."""
    with _session(url, key_file, as_json=as_json) as client:
        found = client.job(job)
        entries = list(client.results(found))
        if not entries and (index or out is not None):
            raise NotThere(404, "not_found", {}, f"The job has no results yet ({found.statusText}).")
        if index:
            missing = sorted(set(index) - {entry.index for entry in entries})
            if missing:
                raise NotThere(404, "not_found", {}, f"There is no result with index {missing[0]}.")
            entries = [entry for entry in entries if entry.index in index]
        if out is not None:
            fetched = fetch(client, job, entries, out, overwrite=overwrite, everything=bool(index))
            if as_json:
                output.document({"jobId": job, "files": fetched})
            else:
                output.say(f"{len(fetched)} file{'' if len(fetched) == 1 else 's'} in {out}.")
            return
    if as_json:
        output.document([entry.model_dump() for entry in entries])
        return
    if not entries:
        output.say(f"The job has no results yet ({found.statusText}).")
        return
    rows = [
        (str(one.index), one.filename, one.type, output.size(one.filesize), one.sha256 or "", _would(one))
        for one in entries
    ]
    columns = ("Index", "File", "Type", "Size", "sha256", "On real data")[: 6 if found.mock else 5]
    output.table(columns, [row[: len(columns)] for row in rows])


COMMANDS: Final[Sequence[Callable[..., None]]] = (
    environments,
    order,
    submit,
    status,
    stop,
    restart,
    delete,
    logs,
    results,
    elsewhere.decrypt,
)


@contextlib.contextmanager
def _session(url: str, key_file: Path | None, *, as_json: bool) -> Iterator[CoveClient]:
    with output.reporting(as_json=as_json):
        signer = keys.known_account(key_file)
    with _signed_session(url, signer, as_json=as_json) as client:
        yield client


@contextlib.contextmanager
def _signed_session(url: str, signer: Signer | None, *, as_json: bool) -> Iterator[CoveClient]:
    with output.reporting(as_json=as_json), CoveClient(url, signer) as client:
        yield client


def _only(jobs: list[JobStatus]) -> JobStatus:
    if not jobs:
        raise NotThere(404, "not_found", {}, "There is no such job.")
    return jobs[0]


def _report_end(job: JobStatus, *, as_json: bool) -> None:
    _show_job(job, as_json=as_json)
    if not succeeded(job):
        output.say(JobFailed(job).message)
        if any(entry.type == "algorithmLog" and entry.filesize for entry in job.results or ()):
            output.say(f"Hint: cove logs {job.jobId} shows what the algorithm wrote.")
        raise typer.Exit(output.FAILED)


def _show_job(job: JobStatus, *, as_json: bool) -> None:
    if as_json:
        output.document(job.model_dump())
        return
    output.facts(
        {
            "Job": job.jobId,
            "Status": f"{job.status} {phase_text(job)}",
            "Message": job.message or "",
            "Exit code": "" if job.exitCode is None else str(job.exitCode),
            "Mock run": "on samples; nothing private was read" if job.mock else "",
            "Attempt": str(job.attempt) if job.attempt > 1 else "",
            "Owner": job.owner,
            "Datasets": ", ".join(job.inputDID),
            "Algorithm": job.algoDID,
            "Environment": job.environment,
            "Created": output.moment(job.dateCreated),
            "Started": output.moment(job.startedAt),
            "Finished": output.moment(job.dateFinished),
            "Results": f"{len(job.results)} files" if job.results else "",
            **elsewhere.told(job),
        }
    )


def _would(entry: ResultEntry) -> str:
    """Say what would have become of a mock run's result."""
    return " ".join(filter(None, (entry.wouldBe, entry.wouldBeReason and f"({entry.wouldBeReason})")))


def _show_jobs(jobs: list[JobStatus], *, as_json: bool) -> None:
    if as_json:
        output.document([job.model_dump() for job in jobs])
        return
    if not jobs:
        output.say("There are no jobs of this account here.")
        return
    rows = [
        (
            job.jobId,
            f"{job.status} {phase_text(job)}{' (mock)' if job.mock else ''}",
            output.moment(job.dateCreated),
            output.moment(job.dateFinished),
            job.environment,
            job.documentId,
        )
        for job in jobs
    ]
    output.table(("Job", "Status", "Created", "Finished", "Environment", "Dataset"), rows)
