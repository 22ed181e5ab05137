"""Which of a run's limits a machine must enforce from outside where the owner asks for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cove.core.errors import SettingsWrong

LIMITS: Final = ("memory", "processes", "cpu", "disk")
_WHAT_TO_DO: Final = {
    "memory": "run the service as root, or delegate a cgroup with the controller memory to it",
    "processes": "run it as root, or delegate a cgroup with the controller pids",
    "cpu": "run it as root, or delegate a cgroup with the controller cpu",
    "disk": "give the engine disks of a size (docs/reference/engines.md)",
}


def unenforced(by: Mapping[str, str]) -> tuple[str, ...]:
    """Name the limits that nothing bounds for a run as a whole.

    Args:
        by: What ``Engine.enforcement`` says: ``none``, and what is bounded per process alone, do not count.
    """
    return tuple(limit for limit in LIMITS if by.get(limit, "none") == "none" or "per process" in by[limit])


def check_strict(environment: str, engine: str, by: Mapping[str, str]) -> None:
    """See that a strict environment's engine enforces everything here.

    Args:
        environment: Id of the environment.
        engine: Name of its engine.
        by: What ``Engine.enforcement`` says.

    Raises:
        SettingsWrong: It does not; the text names each limit, and the hint what to do for each.
    """
    missing = unenforced(by)
    if missing:
        seen = ", ".join(f"{limit} ({by.get(limit, 'none')})" for limit in missing)
        advice = "; ".join(f"{limit}: {_WHAT_TO_DO[limit]}" for limit in missing)
        raise SettingsWrong(
            f"Environment {environment} is strict, and its engine {engine} cannot enforce here: {seen}.",
            hint=f"For {advice}. Or set strict = false.",
        )
