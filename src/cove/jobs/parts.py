"""What the jobs need from the rest of the house, in one value that wiring makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cove.core.environment import Environment
from cove.core.output import OutputRules
from cove.core.policy import ReleaseLimits
from cove.jobs.looks import Looks
from cove.jobs.opened import Opened
from cove.jobs.payments import Payments
from cove.ports import (
    Airlock,
    AuditStore,
    Clock,
    Engine,
    FileSource,
    Gate,
    Inspector,
    JobStore,
    Ledger,
    MetadataStore,
    Peers,
    Policies,
    ResultStore,
    ReviewStore,
    Vault,
)
from cove.ports.deliveries import DeliveryStore


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a Cove that jobs and access work with."""

    clock: Clock
    store: JobStore
    results: ResultStore
    airlock: Airlock
    reviews: ReviewStore
    audit: AuditStore
    vault: Vault
    #: By name of the engine.
    engines: Mapping[str, Engine]
    #: By type of the file object.
    sources: Mapping[str, FileSource]
    #: Other providers.
    peers: Peers
    #: By chain id.
    ledgers: Mapping[int, Ledger]
    #: By chain id.
    metadata: Mapping[int, MetadataStore]
    #: Confirmations that an order needs, by chain id.
    confirmations: Mapping[int, int]
    #: By id.
    environments: Mapping[str, Environment]
    limits: ReleaseLimits
    #: What owners say of their datasets.
    policies: Policies
    #: Compares outputs with inputs.
    inspector: Inspector
    #: Accounts whose assets may name files below each local root.
    local_publishers: Mapping[str, frozenset[str]]
    #: Folder with one workspace per job.
    workspaces: Path
    #: keccak-256, which the standard library lacks.
    keccak: Callable[[bytes], bytes]
    #: Gives 32 lower-case hex digits that nobody can guess.
    new_id: Callable[[], str]
    poll_seconds: float
    #: False: an order pays for one job only.
    order_pays_again: bool
    #: The site's own policies, all of which must say yes; empty where it has none.
    gates: tuple[Gate, ...] = ()
    #: Base URL that consumers reach this provider at; empty when unknown.
    public_url: str = ""
    #: What may be done with results beside keeping them here.
    output_rules: OutputRules = field(default_factory=OutputRules)
    #: Knows how far that is; None: nothing is done.
    deliveries: DeliveryStore | None = None
    #: Where files are looked at for callers who have paid nothing.
    looks: Looks = field(default_factory=Looks)
    #: Which assets' file lists were opened before.
    opened: Opened = field(default_factory=Opened)

    #: Takes payments; None: none are taken.
    payments: Payments | None = None

    def workspace(self, job_id: str) -> Path:
        """Give the folder of a job's inputs."""
        return self.workspaces / job_id
