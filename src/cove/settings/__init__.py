"""Everything an owner can set: read once, from a TOML file and the environment, and passed down.

The environment wins over the file: ``COVE_LISTEN__PORT=8040`` sets ``listen.port``. Lists and tables come as JSON.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from cove.core.errors import SettingsWrong
from cove.core.image_names import is_pattern, names_its_registry
from cove.settings.environments import EnvironmentSettings
from cove.settings.leaving import (
    LeakSettings,
    PolicySettings,
    PublishingSettings,
    ReleaseSettings,
    ReviewSettings,
    SendingSettings,
)
from cove.settings.sections import (
    ApiSettings,
    CatalogSettings,
    ChainSettings,
    EngineSettings,
    HooksSettings,
    ImageSettings,
    ImageStoreSettings,
    LimitSettings,
    ListenSettings,
    LocalRootSettings,
    RegistrySettings,
    SandboxSettings,
    UrlSettings,
    WebhookPlaceSettings,
    WebhookSettings,
)

__all__ = [
    "DEFAULT_FILE",
    "ApiSettings",
    "CatalogSettings",
    "ChainSettings",
    "EngineSettings",
    "EnvironmentSettings",
    "HooksSettings",
    "ImageSettings",
    "ImageStoreSettings",
    "LeakSettings",
    "LimitSettings",
    "ListenSettings",
    "LocalRootSettings",
    "PolicySettings",
    "PublishingSettings",
    "RegistrySettings",
    "ReleaseSettings",
    "ReviewSettings",
    "SandboxSettings",
    "SendingSettings",
    "Settings",
    "UrlSettings",
    "WebhookPlaceSettings",
    "WebhookSettings",
    "file_of",
    "load",
    "read_environment",
    "read_file",
    "unused_variables",
    "variable_of",
]

DEFAULT_FILE = "cove.toml"
_PREFIX: Final = "COVE_"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}", re.ASCII)


class Settings(BaseSettings):
    """All settings of one Cove."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
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
    catalog: CatalogSettings = CatalogSettings()
    environments: tuple[EnvironmentSettings, ...] = (EnvironmentSettings(id="default"),)
    #: By name; an engine that needs no settings needs no table.
    engines: dict[str, EngineSettings] = Field(default_factory=dict)
    #: By ``image:tag``, image name, or pattern of names (only of kind ``registry``).
    images: dict[str, ImageSettings] = Field(default_factory=lambda: {"cove/host": ImageSettings()})
    sandbox: SandboxSettings = SandboxSettings()
    #: By registry, as names of images have it: ``docker.io``, ``registry.example:5000``.
    registries: dict[str, RegistrySettings] = Field(default_factory=dict)
    image_store: ImageStoreSettings = ImageStoreSettings()
    local: dict[str, LocalRootSettings] = Field(default_factory=dict)
    url_files: UrlSettings = UrlSettings()
    release: ReleaseSettings = ReleaseSettings()
    review: ReviewSettings = ReviewSettings()
    sending: SendingSettings = SendingSettings()
    publishing: PublishingSettings = PublishingSettings()
    policies: PolicySettings = PolicySettings()
    leaks: LeakSettings = LeakSettings()
    api: ApiSettings = ApiSettings()
    hooks: HooksSettings = HooksSettings()
    limits: LimitSettings = LimitSettings()
    webhooks: WebhookSettings = WebhookSettings()
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

    @field_validator("catalog")
    @classmethod
    def _no_real_chain(cls, value: CatalogSettings, info: ValidationInfo) -> CatalogSettings:
        if value.folder is not None and value.chain_id in {chain.id for chain in info.data.get("chains", ())}:
            msg = "chain_id should be that of none of the chains"
            raise ValueError(msg)
        return value

    @field_validator("engines")
    @classmethod
    def _file_names(cls, value: dict[str, EngineSettings]) -> dict[str, EngineSettings]:
        if not all(_NAME.fullmatch(name) for name in value):
            msg = "names of engines should be of letters, digits, dots, dashes and underscores"
            raise ValueError(msg)
        return value

    @field_validator("images")
    @classmethod
    def _images_of_a_kind(cls, value: dict[str, ImageSettings]) -> dict[str, ImageSettings]:
        for name, image in value.items():
            if is_pattern(name) and image.kind != "registry":
                msg = f"{name} is a pattern, which only images of kind registry can have"
                raise ValueError(msg)
            if is_pattern(name) and not names_its_registry(name):
                msg = f"{name} should say which registry it is about, as docker.io/* does"
                raise ValueError(msg)
            if (image.path is None) is (image.kind in {"rootfs", "archive"}):
                msg = f"{name} should have a path if, and only if, it is of kind rootfs or archive"
                raise ValueError(msg)
        return value

    @field_validator("key")
    @classmethod
    def _key_or_nothing(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _KEY.fullmatch(value.get_secret_value().strip()):
            msg = "should be a private key of 64 hex digits"
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
    given = read_file(path)
    try:
        return Settings(**given)
    except SettingsError as problem:
        named = re.search(r'field "(\w+)"', str(problem))
        variable = _PREFIX + named[1].upper() if named else "A COVE_ variable of the environment"
        raise SettingsWrong(f"{variable} cannot be read.", hint="Lists and tables are given as JSON.") from None
    except ValidationError as problem:
        raise _wrong(problem.errors(include_url=False, include_input=False, include_context=False)[0]) from None


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


def read_environment() -> dict[str, Any]:
    """Give what the environment sets, in the shape of the settings file."""
    return EnvSettingsSource(Settings)()


def unused_variables() -> list[str]:
    """Name the variables of the environment that look like settings and set nothing."""
    known = [f"{_PREFIX}{name.upper()}" for name in Settings.model_fields]
    unknown = [
        name for name in map(str.upper, os.environ) if name.startswith(_PREFIX) and name.split("__")[0] not in known
    ]
    return sorted(name for name in unknown if "__" in name or difflib.get_close_matches(name, known, cutoff=0.85))


def _wrong(error: ErrorDetails) -> SettingsWrong:
    """Say what is wrong with a setting, without its value."""
    place = ".".join(str(part) for part in error["loc"]) or "the settings"
    variable = variable_of(error["loc"])
    where = f" (from {variable})" if variable else ""
    hint = "cove settings lists every setting with its default."
    match error["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(error["loc"][-1]), _names_beside(error["loc"]), 1)
            return SettingsWrong(
                f"There is no setting {place}{where}.", hint=f"Did you mean {near[0]}?" if near else hint
            )
        case "missing":
            return SettingsWrong(f"Setting {place} is missing.", hint=hint)
        case "path_type":
            text = "should be a path"
        case "model_type" | "dict_type":
            text = "should be a table"
        case _:
            text = error["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
    return SettingsWrong(f"Setting {place}{where}: {text}.", hint=hint)


def _names_beside(place: tuple[int | str, ...]) -> list[str]:
    """Give the names of the settings that stand where ``place`` was looked for."""
    model: type[BaseModel] = Settings
    for part in place[:-1]:
        found = model.model_fields.get(str(part))
        for kind in _models_in(found.annotation if found else None):
            model = kind
    return list(model.model_fields)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def variable_of(place: tuple[int | str, ...]) -> str | None:
    """Give the variable that sets a setting, or a part around it; None when none does."""
    names = {name.upper() for name in os.environ}
    parts = [str(part).upper() for part in place]
    candidates = (_PREFIX + "__".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in candidates if name in names), None)
