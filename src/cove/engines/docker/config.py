"""What the engine is set up with."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cove.core.errors import SettingsWrong
from cove.core.job import RegistryLogin
from cove.ports import EnginePlace, ImageSource

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,40}")
_HOST: Final = re.compile(r"unix:///.+|(tcp|https?)://[^/]+/?")


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """All settings of the engine."""

    #: Folder of what is kept of runs on this host: the record of each end, outputs and logs.
    root: Path
    #: ``unix:///path`` or ``tcp://host:port``.
    host: str = "unix:///run/docker.sock"
    #: The daemon's certificate authority; None takes the system's, and plain HTTP where there is no certificate.
    tls_ca: Path | None = None
    #: Our own certificate and its key; both or none.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: Whether the daemon sees this host's files at the same paths, so that inputs need not be sent.
    shared_disk: bool = True
    #: Names everything of this Cove at the daemon: several on one daemon need different ones.
    name: str = "cove"
    #: The OCI runtime, ``runsc`` for one; empty for the daemon's own.
    runtime: str = ""
    #: The daemon's network of runs that may reach one; empty: none may.
    network: str = ""
    #: Image with a static ``/bin/busybox``: it keeps outputs and the log of a run.
    helper: str = "busybox:musl"
    #: ``missing`` or ``never``: whether images are pulled.
    pull: str = "missing"
    #: By registry: what the daemon is given to log in there.
    registries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: By ``image:tag`` or by image name.
    images: Mapping[str, ImageSource] = field(default_factory=dict)
    #: First uid for jobs, and how many there are.
    first_uid: int = 200_000
    uids: int = 65_536
    #: Seconds within which the daemon must answer.
    answer_seconds: float = 30.0


def config_of(place: EnginePlace) -> DockerConfig:
    """Read the engine's table.

    Raises:
        SettingsWrong: A field is unknown, or its value cannot be used.
    """
    found: dict[str, Any] = {}
    for name, value in place.options.items():
        if name not in _READERS:
            known = ", ".join(sorted(_READERS))
            raise SettingsWrong(f"engines.{place.name}.{name} is not a setting of this engine; there are: {known}.")
        try:
            found[name] = _READERS[name](value)
        except (TypeError, ValueError) as problem:
            raise SettingsWrong(f"engines.{place.name}.{name} {problem}.") from None
    made = DockerConfig(root=place.folder, images=place.images, **found)
    if (made.tls_cert is None) != (made.tls_key is None):
        raise SettingsWrong(f"engines.{place.name} needs both tls_cert and tls_key, or none.")
    if "shared_disk" not in found and not made.host.startswith("unix:"):
        found["shared_disk"] = False
        made = DockerConfig(root=place.folder, images=place.images, **found)
    return made


def login(config: DockerConfig, image: str) -> str:
    """Give the header that tells the daemon who we are at an image's registry; empty for nobody."""
    first = image.partition("/")[0]
    registry = first if "/" in image and ("." in first or ":" in first or first == "localhost") else "docker.io"
    known = config.registries.get(registry)
    return "" if known is None else _header(registry, known)


def login_of(registry: str, given: RegistryLogin) -> str:
    """Give the header that tells the daemon who a consumer is at a registry."""
    return _header(registry, {"username": given.username, "password": given.password})


def _header(registry: str, known: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps({**known, "serveraddress": registry}).encode()).decode()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("should be a text")
    return value


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not pattern.fullmatch(_text(value)):
            raise ValueError(f"should be {wanted}")
        return _text(value)

    return read


def _file(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_file():
        raise ValueError("names a file that is not there")
    return path


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("should be true or false")
    return value


def _registries(value: object) -> Mapping[str, Mapping[str, str]]:
    wanted = "should be tables by registry, each with username and password (or identitytoken)"
    if not isinstance(value, Mapping):
        raise TypeError(wanted)
    for table in value.values():
        if not isinstance(table, Mapping) or set(table) not in ({"username", "password"}, {"identitytoken"}):
            raise TypeError(wanted)
    return value


_READERS: Final[dict[str, Callable[[object], Any]]] = {
    "host": _matching(_HOST, "unix:///path or tcp://host:port"),
    "tls_ca": _file,
    "tls_cert": _file,
    "tls_key": _file,
    "shared_disk": _flag,
    "name": _matching(_NAME, "letters, digits, dots, dashes and underscores"),
    "runtime": _text,
    "network": _matching(
        re.compile(r"(?!host$|none$)[\w.-]+"), "the name of a network of the daemon's, not the host's own"
    ),
    "helper": _text,
    "pull": _matching(re.compile("missing|never"), "missing or never"),
    "registries": _registries,
}

SETTINGS: Final = frozenset(_READERS)
"""The fields of the engine's table (docs/reference/engines.md)."""
