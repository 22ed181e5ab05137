"""What runs algorithms: one module or package per engine."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from cove.core.errors import SettingsWrong
from cove.ports import Engine, EnginePlace

ENGINES: Final[dict[str, str]] = {
    "docker": "cove.engines.docker:open_engine",
    "sandbox": "cove.engines.sandbox:open_engine",
    "kubernetes": "cove.engines.kubernetes:open_engine",
}
"""Kind of engine -> the function that makes one from an ``EnginePlace``. The contract suite runs on every entry."""

GROUP: Final = "cove.engines"
"""The entry points of other packages: the name is the kind, the object such a function."""


def opener(kind: str) -> Callable[[EnginePlace], Engine]:
    """Give the function that makes an engine of a kind; Cove's own kinds win over other packages'.

    Raises:
        SettingsWrong: There is no such kind, or the package that has it cannot be loaded.
    """
    if kind in ENGINES:
        found: Callable[[EnginePlace], Engine] = pkgutil.resolve_name(ENGINES[kind])
        return found
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in others:
        known = ", ".join(sorted({*ENGINES, *others}))
        raise SettingsWrong(f"There is no engine {kind!r}; there are: {known}.", hint="Correct environments.engine.")
    try:
        found = others[kind].load()
    except Exception as problem:
        raise SettingsWrong(f"The package of engine {kind!r} cannot be loaded ({type(problem).__name__}).") from problem
    return found
