"""What knows the release policies of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import ReleasePolicy
from cove.ports.common import Finding


class Policies(Protocol):
    """Gives each dataset's rules as its owner has them now."""

    async def of(self, datasets: Sequence[str]) -> tuple[ReleasePolicy, ...]:
        """Give the policy of each dataset, in their order; the built-in one where there is none of its own.

        Args:
            datasets: DIDs.

        Raises:
            Unavailable: A file that is, or may be, about one of them cannot be used. Neither older nor other rules
                hold in its place. The error quotes nothing of the file: consumers read it.
        """
        ...

    async def mocks(self, assets: Sequence[str]) -> tuple[MockRules, ...]:
        """Give what mock jobs may use of each asset, in their order; nothing where its file does not say.

        Args:
            assets: DIDs of datasets, and of algorithms.

        Raises:
            Unavailable: As :meth:`of`, or a sample cannot be used.
        """
        ...

    async def examine(self) -> Sequence[Finding]:
        """Look at every file; what is wrong is told with line and column, for the owner's eyes."""
        ...
