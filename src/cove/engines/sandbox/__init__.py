"""The embedded sandbox: bubblewrap, our own system call filter, cgroups or rlimits, and a supervisor per run."""

from cove.engines.sandbox.config import ImageSource, SandboxConfig
from cove.engines.sandbox.engine import SandboxEngine

__all__ = ["ImageSource", "SandboxConfig", "SandboxEngine"]
