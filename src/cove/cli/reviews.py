"""The reviewers' commands, at the owner's machine; they work beside a running service."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from cove.cli import interruption, output
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.access.reviews import ReviewService
    from cove.core.airlock import HeldFile, Review
    from cove.wiring.reviewing import Desk

T = TypeVar("T")

Job = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]
Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE...", help="Names or keys as `show` has them; default: all that are open."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the vote.")]
Who = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who you are, for the audit log; default: your account on this machine."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Show values as they are, instead of their first character.")]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


def list_reviews(
    all_: Annotated[bool, typer.Option("--all", help="Those that are closed, too.")] = False,  # noqa: FBT002 - a flag
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List the jobs whose results wait for a review, the newest first."""
    with owner_errors(as_json=as_json):
        found = _at_the_desk(settings_file, lambda desk: desk.reviews.waiting(open_only=not all_))
    if as_json:
        output.document([_fields(one) for one in found])
        return
    rows = [
        (
            one.job_id,
            str(one.attempt),
            str(one.state),
            str(len(one.files)),
            output.one_line(", ".join(_reasons(one))),
            _left(one),
        )
        for one in found
    ]
    output.table(("Job", "Attempt", "State", "Files", "Held for", "Time left"), rows)


def show(
    job: Job,
    *,
    plain: Plain = False,
    who: Who = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is held of a job, why, by which line of the policy, and the beginning of each file, masked."""
    from cove.core.masking import masked  # noqa: PLC0415 - light, and used here alone

    async def look(desk: Desk) -> tuple[Review, list[dict[str, Any]]]:
        review = await desk.reviews.review(_job_id(job), _actor(who))
        return review, [await _file_fields(desk.reviews, review, file, plain=plain) for file in review.files]

    with owner_errors(as_json=as_json):
        review, files = _at_the_desk(settings_file, look)
    if as_json:
        output.document({**_fields(review), "files": files})
        return
    output.facts({
        "Job": f"{review.job_id}, attempt {review.attempt}",
        "Owner": review.owner,
        "Datasets": ", ".join(review.dataset_dids),
        "State": f"{review.state}{f', by {review.closed_by}' if review.closed_by else ''}",
        "Reviewers": f"{review.reviewers} must approve",
        "Time left": _left(review),
        "Inspection": review.inspection.failure or "done",
    })  # fmt: skip
    for file in files:
        typer.echo("")
        output.facts({
            "File": output.one_line(file["path"]),
            "Key": file["key"],
            "Type": f"{file['type']}, {file['contentType']}, {output.size(file['size'])}",
            "Held for": f"{file['reason']} ({file['rule']})" if file["rule"] else file["reason"],
            "Matches": "; ".join(_match(one) for one in file["matches"]) or "none",
            "Votes": "; ".join(_vote(one) for one in file["votes"]) or "none",
        })  # fmt: skip
        text = file["preview"] or ""
        typer.echo(output.neutral(text if plain else masked(text)) if text else "(no text)")


def diff(
    job: Job,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Name or key as `show` has it.")],
    *,
    plain: Plain = False,
    who: Who = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare a held file with the one that was released last under its name, values masked."""

    async def compare(desk: Desk) -> tuple[str, int, str | None]:
        review = await desk.reviews.review(_job_id(job), _actor(who))
        earlier, found = await desk.reviews.difference(review, _named(review, file), plain=plain)
        return earlier.job_id, earlier.attempt, found

    with owner_errors(as_json=as_json):
        other, attempt, found = _at_the_desk(settings_file, compare)
    if as_json:
        output.document({"job": other, "attempt": attempt, "difference": found})
        return
    output.say(f"Compared with attempt {attempt} of job {other}.")
    typer.echo("One of the two is no text." if found is None else output.neutral(found) or "No difference.")


def approve(  # noqa: PLR0917 - typer reads options from parameters
    job: Job,
    reason: Reason,
    files: Files = None,
    who: Who = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Say that files may leave."""
    _vote_all(job, files, reason, who, settings_file, approve=True, as_json=as_json)


def reject(  # noqa: PLR0917 - typer reads options from parameters
    job: Job,
    reason: Reason,
    files: Files = None,
    who: Who = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Say that files must not leave; one person is enough."""
    _vote_all(job, files, reason, who, settings_file, approve=False, as_json=as_json)


def give_back(
    job: Job,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the job's owner reads it.")],
    who: Who = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Give a job's results back as a whole: nothing of its algorithm's leaves, and its owner reads why."""
    with owner_errors(as_json=as_json):
        given = _at_the_desk(
            settings_file, lambda desk: desk.reviews.give_back(_job_id(job), reviewer=_actor(who), reason=reason)
        )
    _say_state(given, as_json=as_json)


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="Look at held results, and let them out or not.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (
    ("list", list_reviews),
    ("show", show),
    ("diff", diff),
    ("approve", approve),
    ("reject", reject),
    ("return", give_back),
)


def _vote_all(
    job: str,
    names: list[str] | None,
    reason: str,
    who: str | None,
    settings_file: Path | None,
    *,
    approve: bool,
    as_json: bool,
) -> None:
    from cove.core.airlock import decided  # noqa: PLC0415 - light, and used here alone
    from cove.core.errors import NotFound  # noqa: PLC0415 - likewise

    async def vote(desk: Desk) -> Review:
        actor = _actor(who)
        review = await desk.reviews.review(_job_id(job), actor)
        chosen = [_named(review, name) for name in names or ()] or [
            file for file in review.files if decided(file, review.reviewers) is None
        ]
        if not chosen:
            raise NotFound("Nothing of this job is open any more.", hint="cove review show says what was decided.")
        for file in chosen:
            review = await desk.reviews.vote(
                review.job_id, file.key, reviewer=actor, approve=approve, reason=reason, sha256=file.sha256
            )
        return review

    with owner_errors(as_json=as_json):
        voted = _at_the_desk(settings_file, vote)
    _say_state(voted, as_json=as_json)


def _at_the_desk(settings_file: Path | None, act: Callable[[Desk], Awaitable[T]]) -> T:
    from cove.settings import load  # noqa: PLC0415 - the service's parts take long to import
    from cove.wiring.reviewing import open_desk  # noqa: PLC0415 - likewise

    async def opened() -> T:
        async with open_desk(load(settings_file)) as desk:
            return await act(desk)

    return interruption.run(opened())


def _actor(given: str | None) -> str:
    """Name who acts: whoever may run this may write the database, so a name is taken as it is given."""
    name = given or os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    if _NAME.fullmatch(name) is None:
        raise typer.BadParameter("--as takes letters, digits, dots, dashes, underscores and @, 64 at the most.")
    is_account = name.lower().startswith("0x")
    return name.lower() if is_account else f"local:{name.lower()}"


def _job_id(given: str) -> Any:  # noqa: ANN401 - the core's own type
    from cove.core.messages import parse_job_id  # noqa: PLC0415 - light, and used here alone

    return parse_job_id(given)


def _named(review: Review, name: str) -> HeldFile:
    found = [file for file in review.files if name in {file.path, file.key}]
    if len(found) != 1:
        from cove.core.errors import NotFound  # noqa: PLC0415 - light, and used here alone

        text = f"{output.one_line(name)} is {'more than one file' if found else 'no file'} of this review."
        raise NotFound(text, hint="cove review show names each file's key.")
    return found[0]


async def _file_fields(reviews: ReviewService, review: Review, file: HeldFile, *, plain: bool) -> dict[str, Any]:
    from cove.core.masking import masked  # noqa: PLC0415 - light, and used here alone

    shown = await reviews.preview(review, file)
    report = next((one for one in review.inspection.files if (one.path, one.type) == (file.path, file.type)), None)
    text = None if shown is None or shown.kind != "text" else shown.text
    return {
        "path": file.path,
        "key": file.key,
        "type": file.type,
        "size": file.size,
        "sha256": file.sha256,
        "contentType": "unknown" if report is None else report.content_type,
        "reason": file.reason,
        "rule": file.rule,
        "matches": []
        if report is None
        else [
            {"dataset": one.dataset, "rows": one.rows, "where": one.where, "examples": list(one.examples)}
            for one in report.matches
        ],
        "votes": [
            {"reviewer": one.reviewer, "approve": one.approve, "reason": one.reason, "at": one.at} for one in file.votes
        ],
        "preview": text if text is None or plain else masked(text),
    }


def _fields(review: Review) -> dict[str, Any]:
    return {
        "job": review.job_id,
        "attempt": review.attempt,
        "owner": review.owner,
        "datasets": list(review.dataset_dids),
        "state": str(review.state),
        "reviewers": review.reviewers,
        "openedAt": review.opened_at,
        "expiresAt": review.expires_at,
        "closedBy": review.closed_by or None,
        "files": len(review.files),
        "reasons": _reasons(review),
    }


def _reasons(review: Review) -> list[str]:
    return sorted({file.reason for file in review.files})


def _left(review: Review) -> str:
    seconds = review.expires_at - time.time()
    if str(review.state) != "open":
        return ""
    return f"{seconds / 86_400:.1f} days" if seconds > 86_400 else f"{max(0.0, seconds) / 3600:.1f} hours"  # noqa: PLR2004 - seconds of a day


def _match(one: dict[str, Any]) -> str:
    where = f" in {output.one_line(one['where'])}" if one["where"] else ""
    examples = f": {output.one_line(' | '.join(one['examples']))}" if one["examples"] else ""
    return f"{one['rows']} rows of {one['dataset']}{where}{examples}"


def _vote(one: dict[str, Any]) -> str:
    return f"{one['reviewer']} {'approves' if one['approve'] else 'rejects'}: {output.one_line(one['reason'])}"


def _say_state(review: Review, *, as_json: bool) -> None:
    if as_json:
        output.document(_fields(review))
        return
    texts = {
        "open": "The vote is counted; the review is still open.",
        "released": "Decided: what was approved leaves.",
        "rejected": "Decided: nothing that was held leaves.",
        "returned": "The job's results were given back.",
    }
    output.say(texts.get(str(review.state), str(review.state)))
