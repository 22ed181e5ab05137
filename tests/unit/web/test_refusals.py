"""Every reason that the code can give for a refusal is in the documents, and they name no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import cove
from cove.core.policygate import HINTS
from cove.web import refusals

SOURCE = Path(cove.__file__).parent
#: Given by rules that are behind another, whose reason the caller gets; and about messages and deliveries, which no
#: caller waits for.
INSIDE = {
    "not_bound_to_asset",
    "gone",
    "secret_invalid",
    "url_invalid",
    "name_too_long",
    "not_taken",
    "nothing",
    "not_allowed",
    "restarted",
}
#: Made of an NFT's state, of what an approved algorithm's checksums are, and by the rules of release policies.
COMPUTED = {
    *HINTS,
    "asset_end_of_life",
    "asset_deprecated",
    "asset_revoked",
    "asset_ordering_disabled",
    "algorithm_file_checksum_mismatch",
    "algorithm_container_checksum_mismatch",
}


def test_the_documents_have_every_reason_and_no_other() -> None:
    given = {reason for path in SOURCE.rglob("*.py") for reason in _reasons(path)}
    assert given - INSIDE | COMPUTED == set(refusals.ALL)


def _reasons(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
            for reason in node.args[1:2]:
                choices = [reason.body, reason.orelse] if isinstance(reason, ast.IfExp) else [reason]
                yield from (
                    one.value for one in choices if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )
