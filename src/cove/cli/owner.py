"""The owner's commands: serve, see the settings, look at the machine, make a key, see it all run once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cove.cli import interruption, output
from cove.client import Signer

if TYPE_CHECKING:
    from cove.settings import Settings

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", envvar="COVE_SETTINGS", help="Default: cove.toml, where there is one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]

# The service's parts take most of a second to import; the commands that need them do it themselves.


def serve(settings_file: SettingsFile = None) -> None:
    """Run the service until it is told to stop (Ctrl-C or SIGTERM)."""
    import uvloop  # noqa: PLC0415 - see above

    from cove import settings as settings_module  # noqa: PLC0415
    from cove import telemetry  # noqa: PLC0415

    with owner_errors():
        settings = settings_module.load(settings_file)
        _warn_of_unused_variables()
        telemetry.set_up(settings.log_level)
        interruption.run(_serve(settings), uvloop.new_event_loop)


def show_settings(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Show every setting, its value and where it came from; secrets stay hidden."""
    from cove import settings as settings_module  # noqa: PLC0415 - see above
    from cove.cli.origins import origins  # noqa: PLC0415 - likewise

    with owner_errors(as_json=as_json):
        loaded = settings_module.load(settings_file)
        found = list(origins(loaded, settings_file))
    _warn_of_unused_variables()
    if as_json:
        output.document({one.name: {"value": one.value, "origin": one.origin} for one in found})
    else:
        output.table(("Setting", "Value", "From"), [(one.name, one.shown, one.origin) for one in found])


def doctor(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Look at everything that the service needs; exit 1 when something is not as it should be."""
    from cove.cli.doctor import examine  # noqa: PLC0415 - see above

    with owner_errors(as_json=as_json):
        findings = interruption.run(examine(settings_file))
    if as_json:
        output.document([{"part": one.part, "ok": one.ok, "seen": one.seen, "advice": one.advice} for one in findings])
    else:
        rows = [("ok" if one.ok else "NOT OK", one.part, one.seen, one.advice) for one in findings]
        output.table(("", "Part", "Seen", "What to do"), rows)
    if not all(one.ok for one in findings):
        raise typer.Exit(output.FAILED)


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not be there yet.")],
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Make a new private key in a file that you alone can read, and print its address."""
    made = secrets.token_hex(32)
    address = Signer(made).address
    with output.reporting(as_json=as_json):
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise typer.BadParameter(f"{file} is there already, and a key is never replaced.") from None
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as opened:
                os.fchmod(opened.fileno(), 0o600)
                opened.write(f"0x{made}\n")
                opened.flush()
                os.fsync(opened.fileno())
        except OSError:
            file.unlink(missing_ok=True)
            raise
    if as_json:
        output.document({"address": address, "file": str(file)})
    else:
        typer.echo(address)


def retry_proofs(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Send the proofs of access again that were given up; a running service takes them up within a minute."""
    from cove.wiring.hooks import retry_proofs as retry  # noqa: PLC0415 - see above

    count = _retried(retry, settings_file, as_json=as_json)
    if not as_json:
        typer.echo(f"{count} proofs of access will be sent again." if count else "No proof of access was given up.")


def retry_webhooks(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Send the messages about jobs again that were given up; a running service takes them up within a minute."""
    from cove.wiring.hooks import retry_webhooks as retry  # noqa: PLC0415 - see above

    count = _retried(retry, settings_file, as_json=as_json)
    if not as_json:
        typer.echo(f"{count} messages will be sent again." if count else "No message was given up.")


def retry_deliveries(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Send, or publish, the results again that were given up; a running service takes them up within a minute."""
    from cove.wiring.hooks import retry_deliveries as retry  # noqa: PLC0415 - see above

    count = _retried(retry, settings_file, as_json=as_json)
    if not as_json:
        typer.echo(f"{count} deliveries will be tried again." if count else "No delivery was given up.")


def _retried(
    retry: Callable[[Settings], Coroutine[object, object, int]], settings_file: Path | None, *, as_json: bool
) -> int:
    from cove import settings as settings_module  # noqa: PLC0415 - see above

    with owner_errors(as_json=as_json):
        count = interruption.run(retry(settings_module.load(settings_file)))
    if as_json:
        output.document({"retried": count})
    return count


def demo(
    rpc: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Use another development chain instead of one in this process; the accounts of anvil's and hardhat's "
            "usual mnemonic must have coin on it.",
        ),
    ] = None,
    *,
    no_chain: Annotated[
        bool, typer.Option("--no-chain", help="Without any chain: assets are files, and a grant pays.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving at the end, until Ctrl-C.")] = False,
) -> None:
    """Run one real job on sample data, from an empty chain to released results; leaves nothing behind."""
    if no_chain and rpc is not None:
        raise typer.BadParameter("Give either --rpc or --no-chain.")
    if no_chain:
        from cove.cli import demo_local  # noqa: PLC0415 - see above

        with owner_errors():
            interruption.run(interruption.interruptible(demo_local.run(keep=keep), "Cleaning up ..."))
        return
    from cove.cli.demo import run  # noqa: PLC0415 - see above
    from cove.client.market import MarketError  # noqa: PLC0415 - likewise

    with owner_errors():
        try:
            interruption.run(interruption.interruptible(run(rpc, keep=keep), "Cleaning up ..."))
        except MarketError as problem:
            output.say(f"Error: {problem}")
            if rpc is not None:
                output.say("Hint: --rpc is for development chains, where the usual mnemonic's accounts own coin.")
            raise typer.Exit(output.FAILED) from None


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (
    ("serve", serve),
    ("settings", show_settings),
    ("doctor", doctor),
    ("keygen", keygen),
    ("retry-proofs", retry_proofs),
    ("retry-webhooks", retry_webhooks),
    ("retry-deliveries", retry_deliveries),
    ("demo", demo),
)


@contextlib.contextmanager
def owner_errors(*, as_json: bool = False) -> Iterator[None]:
    """Have whatever goes wrong end in a sentence and an exit code."""
    from cove.core.errors import (  # noqa: PLC0415 - light, and used here alone
        CoveError,
        Forbidden,
        ImagePullFailed,
        Invalid,
        NotFound,
        Refused,
        SettingsWrong,
        Unavailable,
    )

    with output.reporting(as_json=as_json):
        try:
            yield
        except CoveError as problem:
            message = problem.message
            if isinstance(problem, Invalid):
                message = " ".join(text for texts in problem.errors.values() for text in texts)
            output.failure(message, code=problem.code, hint=problem.hint, as_json=as_json)
            codes = {
                SettingsWrong: output.USAGE,
                Unavailable: output.AWAY,
                ImagePullFailed: output.AWAY,
                NotFound: output.NOT_FOUND,
                Invalid: output.USAGE,
                Refused: output.REFUSED,
                Forbidden: output.REFUSED,
            }
            code = next((code for kind, code in codes.items() if isinstance(problem, kind)), output.FAILED)
            raise typer.Exit(code) from None


def _warn_of_unused_variables() -> None:
    from cove.settings import unused_variables  # noqa: PLC0415 - see above

    for name in unused_variables():
        output.say(f"Warning: the variable {name} sets nothing: there is no such setting.")


async def _serve(settings: Settings) -> None:
    from cove.cli.server import is_loopback, run_server  # noqa: PLC0415 - see above
    from cove.wiring.assembly import open_cove  # noqa: PLC0415

    stop = _stop_on_signals()
    listen = settings.listen
    if not is_loopback(listen.host) and not listen.public_url:
        output.say(
            f"Warning: {listen.host} can be reached from other machines and listen.public_url is not set: links "
            "are made from what each request says it was sent to."
        )
    if is_loopback(listen.host) and listen.public_url and not listen.trusted_proxies:
        output.say(
            "Warning: listen.public_url is set and listen.trusted_proxies names no proxy: all who come through one "
            "count as one client for the limits."
        )
    async with open_cove(settings) as cove:
        await run_server(cove, listen.host, listen.port, started=_announce, stop=stop)
    output.say("Cove has stopped; runs that are under way go on.")


def _announce(url: str) -> None:
    typer.echo(f"Cove is listening on {url}")


def _stop_on_signals() -> asyncio.Event:
    """Have the first Ctrl-C or SIGTERM stop the service in order; a second one ends it at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, first)
    return stop
