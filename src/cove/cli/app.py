"""Puts the commands together, and sees that whatever ends one is a sentence and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from cove.cli import output

_EPILOG = (
    "Exit codes: 0 done; 1 the job failed, or a check or this machine did; 2 wrong usage or settings; 3 refused by the "
    "server; 4 the server or something behind it does not answer, try again; 5 not found; 130 Ctrl-C."
)
_OWNERS: Final = "For owners"


def build(command: str = "") -> typer.Typer:
    """Give the application.

    Args:
        command: The one that is wanted: others are there only where they are loaded with it, since all of them together
            take long to load. Empty or of no command: all.
    """
    app = typer.Typer(
        name="cove",
        help="Runs other people's algorithms on private data, and lets nothing out but checked results.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_options)
    adding = _ADDING.get(command)
    for add in dict.fromkeys(_ADDING.values()) if adding is None else (adding,):
        add(app)
    return app


def _add_consumers(app: typer.Typer) -> None:
    from cove.cli import consumer  # noqa: PLC0415 - see build

    for command in consumer.COMMANDS:
        app.command(rich_help_panel="For consumers")(command)


def _add_owners(app: typer.Typer) -> None:
    from cove.cli import owner  # noqa: PLC0415 - see build

    for name, command in owner.COMMANDS:
        app.command(name, rich_help_panel=_OWNERS)(command)


def _add_verify(app: typer.Typer) -> None:
    from cove.cli import verifying  # noqa: PLC0415 - see build

    app.command(rich_help_panel="For consumers")(verifying.verify)


def _add_publishing(app: typer.Typer) -> None:
    from cove.cli import publish  # noqa: PLC0415 - see build

    app.add_typer(publish.build(), name="publish", rich_help_panel=_OWNERS)
    app.command("unpublish", rich_help_panel=_OWNERS)(publish.unpublish)
    app.add_typer(publish.build_trust(), name="trust", rich_help_panel=_OWNERS)


def _add_grant(app: typer.Typer) -> None:
    from cove.cli import grants  # noqa: PLC0415 - see build

    app.add_typer(grants.build(), name="grant", rich_help_panel=_OWNERS)


def _add_images(app: typer.Typer) -> None:
    from cove.cli import images  # noqa: PLC0415 - see build

    app.add_typer(images.build(), name="images", rich_help_panel=_OWNERS)


def _add_published(app: typer.Typer) -> None:
    from cove.cli import published  # noqa: PLC0415 - see build

    app.add_typer(published.build(), name="published", rich_help_panel=_OWNERS)


def _add_review(app: typer.Typer) -> None:
    from cove.cli import reviews  # noqa: PLC0415 - see build

    app.add_typer(reviews.build(), name="review", rich_help_panel=_OWNERS)


def _add_audit(app: typer.Typer) -> None:
    from cove.cli import audit  # noqa: PLC0415 - see build

    app.add_typer(audit.build(), name="audit", rich_help_panel=_OWNERS)


def _add_policy(app: typer.Typer) -> None:
    from cove.cli import policy  # noqa: PLC0415 - see build

    app.add_typer(policy.build(), name="policy", rich_help_panel=_OWNERS)


def _add_mock(app: typer.Typer) -> None:
    from cove.cli import mock  # noqa: PLC0415 - see build

    app.add_typer(mock.build(), name="mock", rich_help_panel=_OWNERS)


#: What adds each command, in the order of the help.
_ADDING: Final[Mapping[str, Callable[[typer.Typer], None]]] = {
    **dict.fromkeys(
        ("environments", "order", "submit", "status", "stop", "restart", "delete", "logs", "results", "decrypt"),
        _add_consumers,
    ),
    **dict.fromkeys(
        ("serve", "settings", "doctor", "keygen", "retry-proofs", "retry-webhooks", "retry-deliveries", "demo"),
        _add_owners,
    ),
    "verify": _add_verify,
    **dict.fromkeys(("publish", "unpublish", "trust"), _add_publishing),
    "grant": _add_grant,
    "images": _add_images,
    "published": _add_published,
    "review": _add_review,
    "audit": _add_audit,
    "policy": _add_policy,
    "mock": _add_mock,
}


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code.

    Args:
        arguments: Of the command line, without the program's name.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = typer.main.get_command(build(next(iter(arguments), ""))).main(
            list(arguments), prog_name="cove", standalone_mode=False
        )
        sys.stdout.flush()
    except TyperException as problem:
        return _usage(problem, as_json="--json" in arguments)
    except typer.Abort:
        return output.INTERRUPTED
    except OSError as problem:
        return _no_output(problem)
    return code if isinstance(code, int) else output.OK


def _options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version.", callback=_version)
    ] = False,
) -> None:
    del show_version


def _version(wish: bool) -> None:  # noqa: FBT001 - typer's callback
    if wish:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and used here alone

        typer.echo(f"cove {version('cove')}")
        raise typer.Exit


def _usage(problem: TyperException, *, as_json: bool) -> int:
    """Say what is wrong with the command line."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "cove"
    text = problem.format_message()  # the exception's own message is empty where an option is missing
    if context is not None and not text:  # no command: typer prints the help when it is asked for it
        typer.echo(context.get_help(), nl=False)
        return output.USAGE
    text = text.removeprefix("Invalid value: ").rstrip(".") + "."
    output.failure(text, code="usage", hint=f"{command} --help lists what there is.", as_json=as_json)
    return output.USAGE


def _no_output(problem: OSError) -> int:
    """Say that an answer could not be written, and see that nothing is tried again at the process's end."""
    with contextlib.suppress(OSError):
        if not isinstance(problem, BrokenPipeError):
            output.say(f"Error: This machine refuses to take the answer: {problem.strerror or problem}.")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return output.FAILED
