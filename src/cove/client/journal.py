"""Transactions that happen once, however often a command is killed and run again.

What is about to be sent is written down first, signed, with its nonce. Whoever comes later finds it: it was mined, or
it can be sent again, as it is or for more (a chain takes one transaction per nonce, so one of these is mined, once), or
its nonce was used for something else, and then it can never happen.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from cove.client.wallet import MarketError, Sent, Signed, Wallet, encode_call

_VERSION: Final = 1
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a contract that is to be made."""

    #: What it does, in words for people.
    title: str
    to: str
    #: Its signature.
    function: str
    arguments: Sequence[Any]
    #: Gas that it usually takes, for an estimate before those it stands upon were made.
    usual_gas: int


class Journal:
    """What a command has done so far, in a file of its own.

    Args:
        path: The file; it may not be there yet.
        purpose: What the command is about; a journal of something else is not gone on with.

    Raises:
        MarketError: The file is none of ours, or of something else.
    """

    def __init__(self, path: Path, purpose: Mapping[str, object]) -> None:
        self.path = path
        self._purpose = dict(purpose)
        self._steps: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._read()

    def fact(self, name: str) -> Any:  # noqa: ANN401 - what was put there
        """Give what was noted under a name; None for nothing."""
        return self._facts.get(name)

    def note(self, name: str, value: object) -> None:
        """Keep something under a name; it outlives a power cut."""
        self._facts[name] = value
        self._write()

    def transactions(self, step: str) -> tuple[Signed, ...]:
        """Give the transactions that were signed for a step, of which one can be mined, the newest last."""
        found = self._steps.get(step)
        if found is None:
            return ()
        return tuple(Signed(one["tx"], one["raw"], found["nonce"]) for one in (*found.get("replaced", ()), found))

    def begin(self, step: str, signed: Signed) -> None:
        """Write down what is about to be sent; one of the same nonce as before may yet be mined instead of it."""
        before = [one for one in self.transactions(step) if one.nonce == signed.nonce]
        self._steps[step] = {"tx": signed.tx_id, "raw": signed.raw, "nonce": signed.nonce}
        if before:
            self._steps[step]["replaced"] = [{"tx": one.tx_id, "raw": one.raw} for one in before]
        self._write()

    def begun(self) -> bool:
        """Say whether anything was done."""
        return bool(self._steps or self._facts)

    def remove(self) -> None:
        """Forget it all."""
        self._steps, self._facts = {}, {}
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                body = json.loads(file.read(_MAX_BYTES))
            if body["version"] != _VERSION:
                raise ValueError  # noqa: TRY301 - told below with the rest
            purpose, self._steps, self._facts = body["purpose"], dict(body["steps"]), dict(body["facts"])
        except FileNotFoundError:
            return
        except OSError as problem:
            raise MarketError(f"The journal {self.path} cannot be read: {problem.strerror}.") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MarketError(f"The journal {self.path} is damaged: look on the chain what was done.") from None
        for name, value in self._purpose.items():
            if purpose.get(name) != value:
                raise MarketError(
                    f"The journal {self.path} is of another {name}: {purpose.get(name)} instead of {value}."
                )

    def _write(self) -> None:
        body = {"version": _VERSION, "purpose": self._purpose, "steps": self._steps, "facts": self._facts}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        passing = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def once(wallet: Wallet, journal: Journal, step: str, call: Call) -> Sent:
    """Call a function of a contract in a transaction that happens once in the journal's life.

    Args:
        wallet: Who signs.
        journal: Knows what was done before.
        step: Name of the step; a step that was done gives what it gave.
        call: What is called.

    Raises:
        MarketError: It was refused, reverted, or not mined in time.
    """
    before = await done(wallet, journal, step)
    if before is not None:
        return before
    signed = await wallet.prepare(call.to, encode_call(call.function, call.arguments))
    journal.begin(step, signed)
    return await wallet.deliver(signed)


async def done(wallet: Wallet, journal: Journal, step: str, *, send: bool = True) -> Sent | None:
    """Give what a step gave; None where it was not begun or cannot happen.

    Args:
        wallet: Who signed.
        journal: Knows what was done before.
        step: Name of the step.
        send: True: one that is under way is sent again, for more where gas has become dearer since, and waited for.
            False: nothing is sent, and one that is under way counts as not done.

    Raises:
        MarketError: The node refused it, or it was not mined in time.
    """
    before = journal.transactions(step)
    if not before:
        return None
    return await (wallet.settle(*before, keep=partial(journal.begin, step)) if send else wallet.look(*before))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder: two commands over one journal, or with one account, would be in each other's way.

    Raises:
        MarketError: Another command holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MarketError(f"Another command works with the journals in {folder}; wait for its end.") from None
        yield
    finally:
        os.close(descriptor)
