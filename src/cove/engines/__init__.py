"""What runs algorithms: one module or package per engine."""

from __future__ import annotations

from typing import Final

ENGINES: Final[dict[str, str]] = {"sandbox": "cove.engines.sandbox:SandboxEngine"}
"""Name in the settings -> where the Engine is. The contract suite runs on every entry."""
