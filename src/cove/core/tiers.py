"""How much of an environment a job gets where its consumer may choose, as in Ocean Node's API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from cove.core.errors import Refused
from cove.core.job import Resources

GIB: Final = 1 << 30

CPU: Final = "cpu"
RAM: Final = "ram"
DISK: Final = "disk"
GPU: Final = "gpu"


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that a job can have more or less of."""

    #: ``cpu``, ``ram``, ``disk`` or ``gpu``.
    id: str
    #: What a job gets that does not ask for it. Processors, GiB of memory, GiB of disk, graphics processors.
    least: float
    most: float


def offers(limits: Resources) -> tuple[Offer, ...]:
    """Give what a job can choose, up to the limits of its environment."""
    found = [
        Offer(CPU, min(1, limits.cpus), limits.cpus),
        Offer(RAM, min(1, limits.memory_bytes / GIB), limits.memory_bytes / GIB),
        Offer(DISK, min(1, limits.disk_bytes / GIB), limits.disk_bytes / GIB),
    ]
    return (*found, Offer(GPU, 0, limits.gpus)) if limits.gpus else tuple(found)


def chosen(limits: Resources, asked: Sequence[tuple[str, Decimal]]) -> Resources:
    """Give what a job may use that asks for some of an environment.

    Args:
        limits: The most that there is.
        asked: Amounts by id; below the least that is offered, the least is given, as Ocean Node does.

    Raises:
        Refused: ``resources: resource_unknown`` or ``resource_out_of_range``.
    """
    offered = {offer.id: offer for offer in offers(limits)}
    amounts = {offer.id: offer.least for offer in offered.values()}
    for name, amount in asked:
        offer = offered.get(name)
        if offer is None:
            raise Refused("resources", "resource_unknown", hint=f"The environment has {', '.join(offered)}.")
        if not 0 <= amount <= Decimal(offer.most):
            raise Refused("resources", "resource_out_of_range", hint=f"At most {offer.most:g} of {name} are offered.")
        amounts[name] = max(offer.least, float(amount))
    return replace(
        limits,
        cpus=amounts[CPU],
        memory_bytes=int(amounts[RAM] * GIB),
        disk_bytes=int(amounts[DISK] * GIB),
        gpus=int(amounts.get(GPU, 0)),
    )


def amounts_of(used: Resources) -> tuple[tuple[str, float], ...]:
    """Give what a job may use, by the ids of what is offered."""
    found = ((CPU, used.cpus), (RAM, used.memory_bytes / GIB), (DISK, used.disk_bytes / GIB))
    return (*found, (GPU, float(used.gpus))) if used.gpus else found
