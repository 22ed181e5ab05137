"""The embedded sandbox: bubblewrap, our own system call filter, cgroups or rlimits, and a supervisor per run."""

from typing import Final

from cove.core.errors import SettingsWrong
from cove.engines.sandbox.config import SandboxConfig
from cove.engines.sandbox.engine import SandboxEngine
from cove.ports import EnginePlace, ImageSource

__all__ = ["ImageSource", "SandboxConfig", "SandboxEngine", "open_engine"]


_OPTIONS: Final = frozenset({"first_uid", "uids", "cgroup", "disk_in_memory"})


def open_engine(place: EnginePlace) -> SandboxEngine:
    """Make the engine from its place in the settings.

    Raises:
        SettingsWrong: Its table has a field that it does not know.
    """
    for name in place.options.keys() - _OPTIONS:
        raise SettingsWrong(f"engines.{place.name}.{name} is not a setting of the sandbox.")
    config = SandboxConfig(root=place.folder, images=place.images, store=place.store, **place.options)
    return SandboxEngine(config)
