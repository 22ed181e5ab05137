"""One engine for Docker and Podman: both serve the Docker API."""

from cove.engines.docker.config import DockerConfig, config_of
from cove.engines.docker.engine import DockerEngine
from cove.ports import EnginePlace

__all__ = ["DockerConfig", "DockerEngine", "open_engine"]


def open_engine(place: EnginePlace) -> DockerEngine:
    """Make the engine from its place in the settings.

    Raises:
        SettingsWrong: Its table has a field that it does not know, or a value that it cannot use.
    """
    return DockerEngine(config_of(place))
