"""Which line of a release policy holds a file, for the person who is to decide about it."""

from __future__ import annotations

from collections.abc import Sequence

from cove.core.releasepolicy import ReleasePolicy


def lines(policy: ReleasePolicy) -> Sequence[tuple[str, str]]:
    """Give the line behind each reason of a verdict, as an owner writes it."""
    outputs, leaks, counts = policy.outputs, policy.leaks, policy.counts
    kinds = ", ".join(f'"{kind}"' for kind in sorted(outputs.types or ()))
    columns = ", ".join(f'"{column}"' for column in sorted(counts.columns))
    checks = f"leaks.check = {str(leaks.check).lower()}"
    return (
        ("leaked_rows", f"leaks.fail_rows = {leaks.fail_rows}"),
        ("warned_rows", f"leaks.warn_rows = {leaks.warn_rows}"),
        ("canary", f"leaks.canaries ({len(leaks.canaries)} of them)"),
        ("small_groups", f"counts.threshold = {counts.threshold} on columns [{columns}]"),
        ("type", f"outputs.types = [{kinds}]"),
        ("too_many_rows", f"outputs.rows = {outputs.rows}"),
        ("opaque", checks),
        ("not_inspected", checks),
        ("review_always", f'review.mode = "{policy.review.mode}"'),
        ("log_off", f'logs.mode = "{policy.logs.mode}"'),
    )
