"""Shows that long work goes on: bars on a terminal, a line per change elsewhere; always on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from cove.cli.output import one_line, say, size
from cove.client import CoveClient, JobStatus
from cove.client.download import Progress as Told


def phase_text(job: JobStatus) -> str:
    """Say in a few words where a job is."""
    text = one_line(job.statusText)
    if job.queuePosition:
        text += f", place {job.queuePosition} in the queue"
        if job.queueWaitSeconds:
            text += f", about {max(1, round(job.queueWaitSeconds / 60))} min to wait"
    done, total = _bytes(job)
    if done is not None:
        text += f", {size(done)}" + (f" of {size(total)}" if total else "")
    return text


def watch_job(client: CoveClient, job_id: str, shown: Console) -> JobStatus:
    """Follow a job to its end and give its last status; a Ctrl-C ends the following alone."""
    try:
        return _watch(client, job_id, shown)
    except KeyboardInterrupt:
        say(f"The job goes on: cove status {job_id} --watch follows it, cove stop {job_id} ends it.")
        raise


def _watch(client: CoveClient, job_id: str, shown: Console) -> JobStatus:
    last: JobStatus | None = None
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("Asking", total=None)
        for job in client.watch(job_id):
            text = phase_text(job)
            if not shown.is_terminal and (last is None or phase_text(last) != text):
                shown.print(text, markup=False)
            bar.update(task, description=escape(text))
            last = job
    if last is None:
        raise AssertionError("a watch gives one status at least")
    return last


@contextlib.contextmanager
def downloading(name: str, shown: Console) -> Iterator[Told]:
    """Show one file's bytes as they come."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task(escape(one_line(name)), total=None)

        def tell(received: int, total: int | None) -> None:
            bar.update(task, completed=received, total=total)

        yield tell


def _bytes(job: JobStatus) -> tuple[int | None, int | None]:
    facts = job.progress or {}
    done, total = facts.get("bytesDone"), facts.get("bytesTotal")
    return (done if isinstance(done, int) else None, total if isinstance(total, int) else None)
