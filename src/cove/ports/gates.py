"""What a site may put before its services: a server of its own that says yes or no."""

from __future__ import annotations

from typing import Protocol

from cove.core.consent import Question


class Gate(Protocol):
    """Asks a site's own policy. All gates of a site must say yes before anything is done.

    No method holds anything of the database, and each ends within the gate's own time limit.
    """

    async def ask(self, question: Question) -> None:
        """Return when the policy says yes, or has no rule for such a question.

        Raises:
            Invalid: It says no, in the words that clients of the Provider know.
            Forbidden: It says no, perhaps with a reason of its own.
            TooMany: Too many such questions are open already.
            Unavailable: It does not answer in time, or nothing that can be understood; this is never a yes.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
