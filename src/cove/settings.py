"""Everything an owner can set: read once, from a TOML file and the environment, and passed down.

The environment wins over the file: ``COVE_LISTEN__PORT=8040`` sets ``listen.port``. Lists and tables come as JSON.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from cove.core.errors import SettingsWrong

DEFAULT_FILE = "cove.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ListenSettings(_Section):
    """Where the service listens."""

    #: Address of an interface; loopback unless a proxy or a firewall stands in front.
    host: str = "127.0.0.1"
    #: TCP port; 0 takes a free one.
    port: int = Field(default=8030, ge=0, le=65535)
    #: Base URL that consumers reach the service at; empty: what a request was addressed to.
    public_url: str = ""
    #: Origins that browsers may call from.
    cors_origins: tuple[str, ...] = ("*",)


class ChainSettings(_Section):
    """One chain."""

    #: Chain id, as ``eth_chainId`` says it.
    id: int = Field(ge=1)
    #: JSON-RPC URL. It may hold an access key, so it is never printed.
    rpc: SecretStr
    #: Address of Ocean's ERC721Factory on this chain.
    factory: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    #: First block to look for published assets in; 0 looks from the beginning.
    start_block: int = Field(default=0, ge=0)
    #: Blocks that an order must be deep, itself included.
    confirmations: int = Field(default=1, ge=1)
    #: ``onchain`` reads DDOs from the chain's events; a URL names an Aquarius-compatible cache.
    metadata: str = "onchain"
    #: Token that environments are paid in on this chain.
    fee_token: str = Field(default="0x" + "0" * 40, pattern=r"^0x[0-9a-fA-F]{40}$")


class EnvironmentSettings(_Section):
    """One compute environment."""

    id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    engine: str = "sandbox"
    description: str = ""
    cpus: float = Field(default=1.0, gt=0)
    memory: ByteSize = ByteSize(1 << 30)
    #: All that a run writes; kept in memory by the sandbox engine.
    disk: ByteSize = ByteSize(1 << 30)
    inodes: int = Field(default=100_000, ge=16)
    processes: int = Field(default=128, ge=4)
    #: Runs at one time.
    max_jobs: int = Field(default=2, ge=1)
    #: Jobs that may wait; a further start is refused.
    max_queue: int = Field(default=10_000, ge=0)
    #: Seconds a run may take.
    max_duration: int = Field(default=3600, ge=1)
    #: Price of a minute in whole fee tokens; 0 is free.
    price_per_minute: Decimal = Field(default=Decimal(0), ge=0)
    #: Bytes kept of a run's standard output and error.
    log: ByteSize = ByteSize(1 << 20)


class ImageSettings(_Section):
    """What stands behind an image name."""

    kind: Literal["host", "rootfs"] = "host"
    #: Folder of a root filesystem; only for ``rootfs``.
    path: Path | None = None
    #: ``sha256:..`` that a DDO must state; empty takes any.
    checksum: str = ""


class LocalRootSettings(_Section):
    """A folder of this host whose files may be named in file objects of type ``local``."""

    path: Path
    #: Accounts that own the NFTs of assets that may point below this folder; ``*`` takes any account.
    publishers: tuple[str, ...] = ()


class UrlSettings(_Section):
    """How files behind URLs are fetched."""

    #: Networks or ``host:port`` that may be reached although they are private.
    allowed: tuple[str, ...] = ()
    #: Largest file.
    max_bytes: ByteSize = ByteSize(100 << 30)
    #: Seconds to wait for a connection or the next bytes.
    stall_seconds: float = Field(default=30.0, gt=0)
    #: Seconds for a whole file.
    total_seconds: float = Field(default=6 * 3600.0, gt=0)


class ReleaseSettings(_Section):
    """How much of what a job wrote may leave."""

    max_file: ByteSize = ByteSize(10 << 30)
    max_total: ByteSize = ByteSize(20 << 30)
    max_files: int = Field(default=1000, ge=0)
    max_log: ByteSize = ByteSize(2 << 20)


class ApiSettings(_Section):
    """What the HTTP API grants."""

    #: False: a status needs a signature always.
    public_status: bool = True
    #: False: an order pays for one job only.
    order_pays_again: bool = True
    #: Bytes of a request body.
    max_body: ByteSize = ByteSize(4 << 20)
    #: Seconds that the links in a signed status work.
    link_seconds: int = Field(default=600, ge=1)


class Settings(BaseSettings):
    """All settings of one Cove."""

    model_config = SettingsConfigDict(
        env_prefix="COVE_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    #: Folder of the database, workspaces, runs and results; made when it is not there.
    state_dir: Path = Path("cove-state")
    #: SQLAlchemy URL; empty: SQLite in the state folder. It may hold a password, so it is never printed.
    database_url: SecretStr = SecretStr("")
    #: The provider's private key, 64 hex digits. Better in ``key_file``.
    key: SecretStr = SecretStr("")
    #: File with the provider's private key, readable by its owner alone.
    key_file: Path | None = None
    listen: ListenSettings = ListenSettings()
    chains: tuple[ChainSettings, ...] = ()
    environments: tuple[EnvironmentSettings, ...] = (EnvironmentSettings(id="default"),)
    #: By ``image:tag`` or image name.
    images: dict[str, ImageSettings] = Field(default_factory=lambda: {"cove/host": ImageSettings()})
    local: dict[str, LocalRootSettings] = Field(default_factory=dict)
    url_files: UrlSettings = UrlSettings()
    release: ReleaseSettings = ReleaseSettings()
    api: ApiSettings = ApiSettings()
    #: Seconds between two looks at everything, the safety net below the events.
    poll_seconds: float = Field(default=5.0, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("environments", "chains")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len({entry.id for entry in value}) != len(value):
            msg = "each id may stand once"
            raise ValueError(msg)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which comes as init arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        path: The TOML file; None takes ``COVE_SETTINGS``, else ``cove.toml`` where there is one.

    Raises:
        SettingsWrong: The file or a value makes no sense; the text says which, and never quotes the value.
    """
    try:
        return Settings(**read_file(path))
    except SettingsError:
        raise SettingsWrong(
            "A COVE_ variable of the environment cannot be read.", hint="Lists and tables are given as JSON."
        ) from None
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the settings"
        raise SettingsWrong(
            f"Setting {place}: {first['msg']}.", hint="cove settings lists every setting with its default."
        ) from None


def file_of(path: Path | None = None) -> Path | None:
    """Give the settings file that :func:`load` reads; None when there is none."""
    named = path or (Path(os.environ["COVE_SETTINGS"]) if os.environ.get("COVE_SETTINGS") else None)
    if named is not None:
        return named
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def read_file(path: Path | None = None) -> dict[str, Any]:
    """Give what the settings file holds; empty where there is none.

    Raises:
        SettingsWrong: A named file is not there or is not TOML.
    """
    source = file_of(path)
    if source is None:
        return {}
    try:
        return tomllib.loads(source.read_text("utf-8"))
    except OSError as problem:
        raise SettingsWrong(f"The settings file {source} cannot be read: {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsWrong(f"The settings file {source} is not valid TOML: {problem}.") from None


def origins(settings: Settings, path: Path | None = None) -> Iterator[tuple[str, str, str]]:
    """Give every setting as (dotted name, value for the eye, where it came from), secrets masked."""
    given = read_file(path)
    for name in type(settings).model_fields:
        yield from _origins_of(name, getattr(settings, name), given.get(name), f"COVE_{name.upper()}", file_of(path))


def _origins_of(
    name: str, value: object, given: object, variable: str, source: Path | None
) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, BaseModel):
        below = given if isinstance(given, Mapping) else {}
        for key in type(value).model_fields:
            yield from _origins_of(
                f"{name}.{key}", getattr(value, key), below.get(key), f"{variable}__{key.upper()}", source
            )
        return
    set_by_environment = any(key.upper() == variable or key.upper().startswith(f"{variable}__") for key in os.environ)
    if set_by_environment:
        origin = f"environment {variable}"
    elif given is not None:
        origin = f"file {source}"
    else:
        origin = "default"
    if isinstance(value, Mapping):
        entries: list[tuple[str, object]] = [(str(key), entry) for key, entry in value.items()]
    elif isinstance(value, tuple) and any(isinstance(entry, BaseModel) for entry in value):
        entries = [(str(position), entry) for position, entry in enumerate(value)]
    else:
        yield name, _shown(value), origin
        return
    if not entries:
        yield name, "(none)", origin
    for key, entry in entries:
        for field in type(entry).model_fields if isinstance(entry, BaseModel) else ():
            yield f"{name}.{key}.{field}", _shown(getattr(entry, field)), origin


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set, hidden)" if value.get_secret_value() else "(not set)"
    if isinstance(value, ByteSize):
        return value.human_readable()
    if value is None or value in ("", ()):
        return "(none)"
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
