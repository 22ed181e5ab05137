"""Kubernetes: a Job per run, watched over by a container of Cove's own beside the algorithm's."""

from __future__ import annotations

from cove.engines.kubernetes.config import read_config
from cove.engines.kubernetes.engine import KubernetesEngine
from cove.ports import EnginePlace

__all__ = ["KubernetesEngine", "open_engine"]


def open_engine(place: EnginePlace) -> KubernetesEngine:
    """Make the engine from its place in the settings.

    Raises:
        SettingsWrong: Its table is wrong.
    """
    return KubernetesEngine(read_config(place.name, place.options), place.images)
