"""The tables of the settings file that say what of results may leave."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Self

from pydantic import ByteSize, Field, SecretStr, field_validator, model_validator

from cove.settings.sections import Section, are_addresses


class ReleaseSettings(Section):
    """How much of what a job wrote may leave."""

    max_file: ByteSize = ByteSize(10 << 30)
    max_total: ByteSize = ByteSize(20 << 30)
    max_files: int = Field(default=1000, ge=0)
    max_log: ByteSize = ByteSize(2 << 20)


class ReviewSettings(Section):
    """Who may let out what was held; docs/howto/review.md. When results are held is the release policy's to say."""

    #: Accounts that may review over HTTP, in any case; whoever may run commands here may review with ``cove review``.
    reviewers: tuple[str, ...] = ()

    _check_reviewers = field_validator("reviewers")(are_addresses)


class PolicySettings(Section):
    """Where data owners say what may leave (docs/reference/policy.md)."""

    #: Folder of their files, one per dataset; read anew when they change. Empty: the built-in policy for all datasets.
    folder: Path | None = None


class LeakSettings(Section):
    """What the comparison of outputs with inputs may use; whether it is done is the release policy's to say."""

    #: Memory of the process that looks into files; what needs more is held.
    memory: ByteSize = Field(default=ByteSize(1 << 30), ge=256 << 20)
    #: Seconds that it may look at one job's outputs; what takes longer is held.
    seconds: float = Field(default=120.0, gt=0)
    #: All indexes of inputs together, encrypted in the state folder; over it those go that were not used for longest.
    keep_total: ByteSize = ByteSize(4 << 30)


class SendingSettings(Section):
    """Whether released results are sent to storage that consumers name; docs/howto/results-elsewhere.md."""

    #: False: results stay here, and a start that names a storage is refused. What is sent is released all the same, but
    #: to send it means connections that consumers choose the ends of.
    allowed: bool = False
    #: Networks or ``host:port`` that results may be sent to although they are private: whatever is listed here, each
    #: consumer can have Cove send to.
    private: tuple[str, ...] = ()
    #: All results of one job, as they are sent.
    max_bytes: ByteSize = ByteSize(20 << 30)
    #: Seconds to wait for a connection, for a piece to be taken, and for an answer.
    stall_seconds: float = Field(default=30.0, gt=0)
    #: Seconds for one file.
    total_seconds: float = Field(default=6 * 3600.0, gt=0)
    #: Jobs whose results are sent at one time.
    at_once: int = Field(default=2, ge=1, le=32)


class PublishingSettings(Section):
    """Whether released results are published as assets of their consumers; docs/howto/results-elsewhere.md."""

    #: False: results stay here, and a start that wants an asset of them is refused. The owner's account pays for each.
    allowed: bool = False
    #: Id of the chain of the settings that assets are published on; empty: the only one there is.
    chain: int | None = None
    #: Private key of the account that pays, 64 hex digits; better in ``key_file``. It sends nothing else.
    key: SecretStr = SecretStr("")
    #: File with that key, or a keystore (V3 JSON), readable by its owner alone.
    key_file: Path | None = None
    #: File with the keystore's password in its first line.
    password_file: Path | None = None
    #: Accounts whose results may be published, in any case; empty: everybody's.
    consumers: tuple[str, ...] = ()
    #: Whole ones of the chain's coin, for all transactions of one asset; what would cost more waits for a lower price.
    max_cost: Decimal = Field(default=Decimal(0), ge=0)
    #: The same for all assets of a day.
    max_cost_per_day: Decimal = Field(default=Decimal(0), ge=0)
    #: Assets of a day.
    max_assets_per_day: int = Field(default=100, ge=1)
    #: Days that results are kept after their asset was ended or revoked on its chain.
    keep_ended_days: float = Field(default=30.0, ge=0)

    _check_consumers = field_validator("consumers")(are_addresses)

    @model_validator(mode="after")
    def _pays(self) -> Self:
        if self.allowed and not 0 < self.max_cost <= self.max_cost_per_day:
            msg = "allowed needs max_cost above 0, and max_cost_per_day not below it: how many coins may be spent"
            raise ValueError(msg)
        return self
