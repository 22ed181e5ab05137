"""Where a command takes an account's key from: a file, the environment or a prompt; never the command line."""

from __future__ import annotations

import getpass
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from cove.client import KeyMissing, Signer

_MAX_FILE: Final = 1 << 16

AccountKey = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="COVE_ACCOUNT_KEY_FILE",
        help="File with your account's private key, or a keystore (V3 JSON). COVE_ACCOUNT_KEY may hold the key itself; "
        "without any of these you are asked for it.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="COVE_ACCOUNT_PASSWORD_FILE",
        help="File with the keystore's password in its first line; without it you are asked for it.",
    ),
]


def known_account(key_file: Path | None, password_file: Path | None = None) -> Signer | None:
    """Open the account where a key is given, and ask nobody; None where none is.

    Raises:
        KeyMissing: What is given is no key, or does not open.
    """
    if key_file is None and not os.environ.get("COVE_ACCOUNT_KEY", ""):
        return None
    return account(key_file, password_file)


def account(key_file: Path | None, password_file: Path | None) -> Signer:
    """Open the account.

    Raises:
        KeyMissing: There is no key, or the keystore does not open.
    """
    if key_file is not None:
        stored = _keystore(key_file)
        return Signer.from_file(key_file) if stored is None else _opened(key_file, stored, password_file)
    key = os.environ.get("COVE_ACCOUNT_KEY", "")
    if key:
        return Signer(key)
    if not sys.stdin.isatty():
        raise KeyMissing("There is no key to sign with.")
    return Signer(getpass.getpass("Private key of your account: "))


def _keystore(path: Path) -> dict[str, object] | None:
    """Give a file's keystore; None where it holds something else."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE)
    except OSError as problem:
        raise KeyMissing(f"The key file {path} cannot be read: {problem.strerror}.") from None
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise KeyMissing(f"The key file {path} looks like a keystore and is not valid JSON.") from None
    return {str(name).lower(): value for name, value in found.items()}


def _opened(path: Path, stored: dict[str, object], password_file: Path | None) -> Signer:
    from cove.client.accounts import from_keystore  # noqa: PLC0415 - slow to import, and for keystores alone

    return from_keystore(stored, _password(path, password_file), str(path))


def _password(path: Path, password_file: Path | None) -> str:
    named = os.environ.get("COVE_ACCOUNT_PASSWORD_FILE", "")
    if password_file is None and named:
        password_file = Path(named)
    if password_file is None:
        if not sys.stdin.isatty():
            raise KeyMissing(f"The keystore {path} needs a password.", hint="--password-file FILE says where it is.")
        return getpass.getpass(f"Password of {path}: ")
    try:
        lines = password_file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise KeyMissing(f"The password file {password_file} cannot be read.") from None
    return lines[0] if lines else ""
