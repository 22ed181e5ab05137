"""Judges a folder of outputs as if a job had left it; nothing leaves, and nothing is kept."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cove.core.errors import SettingsWrong
from cove.core.inspection import Inspection
from cove.core.job import Verdict
from cove.core.policy import RawOutput, review, to_inspect
from cove.core.releasepolicy import LogMode, ReleasePolicy
from cove.crypto.box import KeyVault
from cove.crypto.keys import Account
from cove.jobs import filtering, outputs
from cove.jobs.provisioning import standing
from cove.ports import Collected, IndexedInput
from cove.settings import Settings
from cove.wiring.inspection import open_inspector
from cove.wiring.policies import limits_of, read_policy


@dataclass(frozen=True, slots=True)
class Left:
    """What a job would have left."""

    #: As ``/data/outputs``.
    outputs: Path
    #: What it would have printed; None for nothing.
    log: Path | None


@dataclass(frozen=True, slots=True)
class Tested:
    """What would become of it."""

    verdicts: tuple[Verdict, ...]
    #: None: nothing here can look into files.
    inspection: Inspection | None


async def try_outputs(settings: Settings, policy_file: Path, inputs: Sequence[Path], left: Left) -> Tested:
    """Judge what a job would have left.

    Args:
        settings: For the owner's limits.
        policy_file: The policy that would hold.
        inputs: Files or folders of the dataset.
        left: What is judged.

    Raises:
        SettingsWrong: The policy, an input, or a folder cannot be read.
    """
    file = read_policy(policy_file)
    limits = limits_of(settings)
    with tempfile.TemporaryDirectory(prefix="cove-policy-") as name:
        spare = Path(name)
        size = min(file.policy.logs.tail_bytes, limits.log_bytes)
        collected, raw = await asyncio.to_thread(_laid_out, file.policy, size, left, spare)
        await asyncio.to_thread(_note, inputs, file.dataset or "dataset", spare)
        chosen = to_inspect(raw, limits, file.policy)
        inspector = open_inspector(settings, spare, KeyVault(Account.from_hex(secrets.token_hex(32))))
        try:
            inspection = await filtering.inspect(inspector, spare, collected, chosen, file.policy)
        finally:
            await inspector.close()
    return Tested(review(raw, limits, file.policy, inspection), inspection)


def _laid_out(policy: ReleasePolicy, tail: int, left: Left, spare: Path) -> tuple[Collected, list[RawOutput]]:
    if not left.outputs.is_dir():
        raise SettingsWrong(f"There is no folder {left.outputs}.")
    if left.log is not None and not left.log.is_file():
        raise SettingsWrong(f"There is no file {left.log}.")
    nothing = spare / "nothing"
    collected = Collected(left.outputs.absolute(), nothing, left.log.absolute() if left.log else nothing)
    if policy.logs.mode is LogMode.TAIL:
        collected = filtering.cut_log(spare, collected, tail)
    return collected, outputs.survey(collected)


def _note(inputs: Sequence[Path], dataset: str, spare: Path) -> None:
    for place in inputs:
        if not place.exists():
            raise SettingsWrong(f"There is no input {place}.")
    places = [place.absolute() for place in inputs]
    filtering.note_inputs(spare, tuple(IndexedInput(dataset, at, standing(at), at.name) for at in places))
