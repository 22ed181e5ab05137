"""The data owner's commands about release policies; none of them needs a running service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cove.cli import interruption, output
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.core.policyexplained import Explained
    from cove.wiring.policies import Explanation
    from cove.wiring.trial import Tested

_ANSWERS: Final = {True: "yes", False: "NO", None: ""}


def check(
    place: Annotated[Path, typer.Argument(metavar="FILE|FOLDER", help="A policy file, or a folder of them.")],
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """See that policy files make sense; exit 1 where one does not, with line and column."""
    from cove.wiring.policies import check_policies  # noqa: PLC0415 - the service's parts take long to import

    with owner_errors(as_json=as_json):
        files, problems = check_policies(place)
    if as_json:
        good = [{"file": one.name, "dataset": one.dataset or None, "digest": one.digest} for one in files]
        output.document({"files": good, "problems": list(problems)})
    else:
        rows = [(one.name, one.dataset or "all others", one.digest) for one in files]
        if rows:
            output.table(("File", "Dataset", "Digest"), rows)
        for problem in problems:
            output.say(f"Error: {problem}")
        if not rows and not problems:
            output.say("There is no *.toml here: the built-in policy holds for every dataset.")
    if problems:
        raise typer.Exit(output.FAILED)


def explain(  # noqa: PLR0917 - typer reads options from parameters
    dataset: Annotated[list[str], typer.Option("--dataset", metavar="DID", help="May be repeated.")],
    algorithm: Annotated[str, typer.Option("--algorithm", metavar="DID", help="Or raw, for code sent along.")],
    consumer: Annotated[str, typer.Option("--consumer", metavar="ADDRESS")],
    image: Annotated[str, typer.Option("--image", metavar="sha256:..", help="Where the DDO cannot be read.")] = "",
    files: Annotated[str, typer.Option("--files", metavar="HEX", help="Digests of the algorithm's files.")] = "",
    environment: Annotated[str, typer.Option("--env", metavar="ID", help="Default: the first one.")] = "",
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Say what would become of such a job, and why, rule by rule."""
    from cove.core.messages import parse_address, parse_did  # noqa: PLC0415 - see above
    from cove.settings import load  # noqa: PLC0415
    from cove.wiring.chains import connect_http  # noqa: PLC0415
    from cove.wiring.policies import Job, explain  # noqa: PLC0415

    with owner_errors(as_json=as_json):
        job = Job(
            tuple(_valid(parse_did, "--dataset", did) for did in dataset),
            algorithm if algorithm == "raw" else _valid(parse_did, "--algorithm", algorithm),
            _valid(parse_address, "--consumer", consumer),
            image,
            files,
            environment,
        )
        found = interruption.run(explain(load(settings_file), job, connect_http))
    if as_json:
        output.document(_explained(found))
        return
    rows = [(did, line.rule, _ANSWERS[line.passes], line.text) for did, lines in found.datasets for line in lines]
    rows += [("the job", line.rule, "", line.text) for line in found.release]
    output.table(("Of", "Rule", "Passes", "What it says"), rows)
    answer = {True: "would start", False: "would be refused", None: "would start unless what is not known here says no"}
    output.say(f"Such a job {answer[found.starts]}, under the policy of digest {found.digest}.")


def try_folder(  # noqa: PLR0917 - typer reads options from parameters
    folder: Annotated[Path, typer.Argument(metavar="OUTPUTS_FOLDER", help="What a job would have left.")],
    policy_file: Annotated[Path, typer.Option("--policy", metavar="FILE", help="The policy file that would hold.")],
    inputs: Annotated[
        list[Path] | None, typer.Option("--inputs", metavar="PATH", help="File or folder of the data; may be repeated.")
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="What it would have printed.")] = None,
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Judge a folder of outputs as a job's would be; exit 1 where something would be held or refused."""
    from cove.core.policy import REASONS  # noqa: PLC0415 - see above
    from cove.settings import load  # noqa: PLC0415
    from cove.wiring.trial import Left, try_outputs  # noqa: PLC0415

    with owner_errors(as_json=as_json):
        found = interruption.run(try_outputs(load(settings_file), policy_file, inputs or [], Left(folder, log)))
    if as_json:
        output.document(_tested(found))
    else:
        rows = [
            (one.path, output.size(one.size), _fate(one), REASONS.get(one.reason, ""), _rows_in(found, one.path))
            for one in found.verdicts
        ]
        output.table(("File", "Size", "", "Why", "Rows"), rows)
    if not all(one.released for one in found.verdicts):
        raise typer.Exit(output.FAILED)


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="Check release policies, and see what they do.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (
    ("check", check),
    ("explain", explain),
    ("test", try_folder),
)


def _valid(parse: Callable[[object, str], str], option: str, value: str) -> str:
    from cove.core.errors import Invalid  # noqa: PLC0415 - light, and used here alone

    try:
        return parse(value, option)
    except Invalid as problem:
        raise typer.BadParameter(f"{option}: {problem.errors[option][0]}") from None


def _line(line: Explained) -> dict[str, Any]:
    return {"rule": line.rule, "passes": line.passes, "text": line.text}


def _explained(found: Explanation) -> dict[str, Any]:
    return {
        "starts": found.starts,
        "policyDigest": found.digest,
        "datasets": [{"did": did, "rules": [_line(line) for line in lines]} for did, lines in found.datasets],
        "release": [_line(line) for line in found.release],
    }


def _tested(found: Tested) -> dict[str, Any]:
    files = [
        {
            "path": one.path,
            "type": one.type,
            "size": one.size,
            "sha256": one.sha256,
            "verdict": _fate(one),
            "reason": one.reason or None,
            "rows": int(_rows_in(found, one.path) or 0),
        }
        for one in found.verdicts
    ]
    failure = "not_inspected" if found.inspection is None else found.inspection.failure
    rows = 0 if found.inspection is None else found.inspection.matched_rows
    return {"files": files, "rows": rows, "failure": failure or None}


def _fate(verdict: Any) -> str:  # noqa: ANN401 - core's Verdict, which is not imported here
    return "released" if verdict.released else "held" if verdict.held else "refused"


def _rows_in(found: Tested, path: str) -> str:
    reports = found.inspection.files if found.inspection is not None else ()
    rows = sum(report.matched_rows for report in reports if report.path == path)
    return str(rows) if rows else ""
