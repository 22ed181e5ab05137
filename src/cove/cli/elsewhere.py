"""Results that go further than to the provider: options of ``cove submit``, and ``cove decrypt``."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cove.cli import keys, output, submission
from cove.client import JobStatus, Signer
from cove.core.errors import Invalid
from cove.core.output_form import parse_output

_OWN: Final = "me"

SendTo = Annotated[
    Path | None,
    typer.Option(
        "--send-to",
        metavar="FILE",
        help="TOML or JSON file of the storage that released results are sent to: docs/howto/results-elsewhere.md.",
    ),
]
EncryptTo = Annotated[
    str | None,
    typer.Option(
        "--encrypt-to",
        metavar="me|KEY",
        help="Encrypt what is sent to your account's key, or to a public key of secp256k1 in hex.",
    ),
]
PublishOutput = Annotated[
    Path | None,
    typer.Option(
        "--publish-output",
        metavar="FILE",
        help="TOML or JSON file of the metadata of an asset that released results become: name, description, author, "
        "license, ..",
    ),
]
PublishLog = Annotated[
    bool, typer.Option("--publish-log", help="With --publish-output: the log is one of the asset's files, too.")
]


def output_of(
    send_to: Path | None, encrypt_to: str | None, publish: Path | None, *, publish_log: bool
) -> dict[str, Any] | None:
    """Give ``output`` of the request, but for the account's own key; None where nothing is wanted.

    Raises:
        typer.BadParameter: The options do not fit together, or a file has a mistake.
    """
    if encrypt_to is not None and send_to is None:
        raise typer.BadParameter("--encrypt-to goes with --send-to.")
    if publish_log and publish is None:
        raise typer.BadParameter("--publish-log goes with --publish-output.")
    wanted: dict[str, Any] = {}
    if send_to is not None:
        wanted["remoteStorage"] = _object(send_to, "storage")
        _check(wanted, send_to, "output.remoteStorage")
        if encrypt_to is not None:
            wanted["encryption"] = {"encryptMethod": "ECIES", "key": encrypt_to}
    if publish is not None:
        asset = {"publishOutput": True, "publishAlgorithmLog": publish_log, "metadata": _object(publish, "metadata")}
        _check(asset, publish, "output.metadata")
        wanted |= asset
    return wanted or None


def with_key(wanted: dict[str, Any] | None, signer: Signer | None) -> dict[str, Any] | None:
    """Give ``output`` with the account's public key where its own is meant.

    Raises:
        typer.BadParameter: There is no account, or it is no key.
    """
    if wanted is None or "encryption" not in wanted:
        return wanted
    encryption = dict(wanted["encryption"])
    if encryption["key"] == _OWN:
        if signer is None:
            raise typer.BadParameter("--encrypt-to me needs your account's key: --key-file.")
        encryption["key"] = signer.public_key()
    found = {**wanted, "encryption": encryption}
    try:
        parse_output(found)
    except Invalid:
        raise typer.BadParameter("--encrypt-to should be me, or a public key of secp256k1 in hex.") from None
    return found


def told(job: JobStatus) -> dict[str, str]:
    """Give what people are shown of a job whose results go further."""
    found = {"Asset": job.resultsDid}
    for one in job.deliveries:
        note = f" ({one.note})" if one.note else ""
        count = f", {one.sent} files" if one.kind == "storage" else ""
        found["Sending" if one.kind == "storage" else "Publishing"] = f"{one.state}{count}{note}"
    return found


def decrypt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A result that was encrypted to your key.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where its content goes; replaced if it is there.")
    ],
    key_file: keys.AccountKey = None,
    password_file: keys.PasswordFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False,  # noqa: FBT002
) -> None:
    """Open a result that was sent encrypted to your account's key."""
    from cove.client.sealed import decrypt_file  # noqa: PLC0415 - used here alone

    with output.reporting(as_json=as_json):
        size = decrypt_file(keys.account(key_file, password_file), file, out)
    if as_json:
        output.document({"path": str(out), "size": size})
    else:
        output.say(f"{output.size(size)} in {out}.")


def _object(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file, or a JSON file where it begins as one."""
    text = submission.read_text(path, what)
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as problem:
        raise typer.BadParameter(f"The {what} {path} is not valid TOML: {problem}.") from None
    except (ValueError, RecursionError):
        raise typer.BadParameter(f"The {what} {path} is not valid JSON.") from None
    return {str(name): _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of TOML
    """Give a value as JSON has it; dates as text."""
    match value:
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case Decimal():
            return float(value)
        case bool() | int() | float() | str() | None:
            return value
        case _:
            return str(value)


def _check(wanted: dict[str, Any], path: Path, under: str) -> None:
    """Say what is wrong in a file before anything is ordered."""
    try:
        parse_output(wanted)
    except Invalid as problem:
        field, texts = next(iter(problem.errors.items()))
        name = field.removeprefix(under).lstrip(".") or "the file"
        raise typer.BadParameter(f"{path}: {name}: {' '.join(texts)}") from None
