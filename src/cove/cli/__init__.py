"""The command ``cove``."""

from __future__ import annotations

from typing import Annotated

import typer

_EPILOG = (
    "Exit codes: 0 done; 1 the job failed, or a check or this machine did; 2 wrong usage or settings; 3 refused by the "
    "server; 4 the server or something behind it does not answer, try again; 5 not found; 130 Ctrl-C."
)


def build_app() -> typer.Typer:
    """Put the commands together."""
    from cove.cli import consumer, owner  # noqa: PLC0415 - importing cove.cli.server must not need the client

    app = typer.Typer(
        name="cove",
        help="Runs other people's algorithms on private data, and lets nothing out but checked results.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for command in consumer.COMMANDS:
        app.command(rich_help_panel="For consumers")(command)
    for name, owned in owner.COMMANDS:
        app.command(name, rich_help_panel="For owners")(owned)
    app.command("demo", rich_help_panel="For owners")(_demo)
    return app


def _demo(
    rpc: Annotated[
        str | None, typer.Option(help="Use another development chain instead of one in this process.")
    ] = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving at the end, until Ctrl-C.")] = False,
) -> None:
    """Run one real job on sample data, from an empty chain to released results."""
    import asyncio  # noqa: PLC0415 - other commands start without it

    from cove.cli import demo  # noqa: PLC0415 - likewise

    try:
        asyncio.run(demo.run(rpc, keep=keep))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def main() -> None:
    """Run the command line."""
    build_app()()
