"""What the jobs need from the rest of the house, in one value that wiring makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cove.core.environment import Environment
from cove.core.policy import ReleaseLimits
from cove.jobs.looks import Looks
from cove.jobs.opened import Opened
from cove.ports import Clock, Engine, FileSource, Gate, JobStore, Ledger, MetadataStore, Peers, ResultStore, Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a Cove that jobs and access work with."""

    clock: Clock
    store: JobStore
    results: ResultStore
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
    #: Where files are looked at for callers who have paid nothing.
    looks: Looks = field(default_factory=Looks)
    #: Which assets' file lists were opened before.
    opened: Opened = field(default_factory=Opened)

    def workspace(self, job_id: str) -> Path:
        """Give the folder of a job's inputs."""
        return self.workspaces / job_id
