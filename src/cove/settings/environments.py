"""The tables of the settings file that say where jobs run, who may, and on which terms."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import ByteSize, Field, field_validator, model_validator

from cove.settings.sections import Section, are_addresses


class HeldTokenSettings(Section):
    """A token whose holders may use an environment."""

    #: Id of its chain, one of ``chains``.
    chain: int = Field(ge=1)
    #: Address of an ERC-721, ERC-20 or ERC-1155 contract; whose balance is above zero holds it.
    contract: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    #: Id of the token of an ERC-1155 contract, decimal; empty for the other kinds.
    id: str = Field(default="", pattern=r"^[0-9]{0,77}$")


class AccessSettings(Section):
    """Who may use an environment; without any entry, everybody. The list of environments shows it to all."""

    #: Accounts.
    addresses: tuple[str, ...] = ()
    #: Tokens whose holders may; asked anew for each job.
    tokens: tuple[HeldTokenSettings, ...] = ()

    _check_addresses = field_validator("addresses")(are_addresses)


class FreeSettings(Section):
    """What of an environment may be used without payment; what is left out is as in the environment itself."""

    #: Processors of a run.
    cpus: float | None = Field(default=None, gt=0)
    #: Memory of a run.
    memory: ByteSize | None = None
    #: All that a run writes.
    disk: ByteSize | None = None
    #: Seconds that a run may take.
    max_duration: int | None = Field(default=None, ge=1)
    #: Free runs at one time, of the ``max_jobs`` of the environment: fewer than these leave some for other jobs. Left
    #: out: as many as there are.
    max_jobs: int | None = Field(default=None, ge=1)
    #: Free jobs that may wait, of the ``max_queue`` of the environment: what they do not take is left to other jobs.
    #: Left out: half of them.
    max_queue: int | None = Field(default=None, ge=0)
    #: Who may, of those who may use the environment.
    access: AccessSettings = AccessSettings()


class PriceSettings(Section):
    """What an environment costs in one token, in whole tokens for a minute; 0 is free."""

    #: Id of the token's chain, one of ``chains``, which must have an ``escrow``.
    chain: int = Field(ge=1)
    #: Address of the token.
    token: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    #: For each processor.
    cpu: Decimal = Field(default=Decimal(0), ge=0)
    #: For each GiB of memory.
    ram: Decimal = Field(default=Decimal(0), ge=0)
    #: For each GiB of disk.
    disk: Decimal = Field(default=Decimal(0), ge=0)
    #: For each graphics processor.
    gpu: Decimal = Field(default=Decimal(0), ge=0)


class EnvironmentSettings(Section):
    """One compute environment."""

    id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    #: Kind of an engine, or the name of a table below ``engines``.
    engine: str = "sandbox"
    description: str = ""
    cpus: float = Field(default=1.0, gt=0)
    memory: ByteSize = ByteSize(1 << 30)
    #: All that a run writes.
    disk: ByteSize = ByteSize(1 << 30)
    inodes: int = Field(default=100_000, ge=16)
    processes: int = Field(default=128, ge=4)
    #: Graphics processors that a run gets; the sandbox engine can give none.
    gpus: int = Field(default=0, ge=0)
    #: Their kind, as consumers read it; empty for any.
    gpu_type: str = ""
    #: Runs at one time.
    max_jobs: int = Field(default=2, ge=1)
    #: Jobs that may wait; a further start is refused.
    max_queue: int = Field(default=10_000, ge=0)
    #: Seconds that a job may wait for its run; then it ends, and its orders are not used up. 0: as long as it takes.
    #: A job's owner may ask for less (``queueMaxWaitTime``).
    max_queue_wait: int = Field(default=0, ge=0)
    #: Seconds a run may take.
    max_duration: int = Field(default=3600, ge=1)
    #: Mock jobs (on owners' samples, and paid for by nobody) that may wait or run at a time; 0: none at all.
    max_mock_jobs: int = Field(default=2, ge=0)
    #: Seconds that a run of one may take, where that is less than ``max_duration``.
    max_mock_duration: int = Field(default=600, ge=1)
    #: Price of a minute in whole fee tokens; 0 is free.
    price_per_minute: Decimal = Field(default=Decimal(0), ge=0)
    #: Bytes kept of a run's standard output and error.
    log: ByteSize = ByteSize(1 << 20)
    #: True: a job's owner may read its log while it runs. A log is an output, and this releases it as it is written, up
    #: to ``release.max_log``, before any check of the job's outputs.
    live_logs: bool = False
    #: ``allowed``: a run may reach the network where every dataset's DDO allows it too (``allowNetworkAccess``); the
    #: sandbox engine has no network.
    network: Literal["none", "allowed"] = "none"
    #: Patterns of the image names that may run here, as in ``ghcr.io/site/*`` or ``python:3.*``; ``*`` matches ``/``
    #: too, and a pattern without a tag takes any. Empty: any image that the engine has.
    images: tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = ()
    #: True: an algorithm must name its image by the whole digest: its checksum is ``sha256:`` and 64 hex digits.
    digests_only: bool = False
    access: AccessSettings = AccessSettings()
    #: What may be used of it without payment by clients of Ocean Node's API. Left out: everything where
    #: ``price_per_minute`` is 0, else nothing.
    free: FreeSettings | None = None
    #: What clients of Ocean Node's API pay through an escrow contract; empty: they cannot pay.
    prices: tuple[PriceSettings, ...] = ()
    #: True: the service does not start where this machine cannot enforce each of memory, processes, cpu and disk.
    strict: bool = False

    @model_validator(mode="after")
    def _free_fits(self) -> Self:
        for name in ("cpus", "memory", "disk", "max_duration", "max_jobs", "max_queue"):
            given = getattr(self.free, name, None)
            if given is not None and given > getattr(self, name):
                msg = f"free.{name} is more than {name}: give no more without payment than there is"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _sandbox_can(self) -> Self:
        if self.engine == "sandbox" and self.gpus:
            msg = "the sandbox engine cannot give a run graphics processors: set gpus to 0, or name another engine"
            raise ValueError(msg)
        if self.engine == "sandbox" and self.network != "none":
            msg = 'the sandbox engine has no network to give: set network to "none", or name another engine'
            raise ValueError(msg)
        return self
