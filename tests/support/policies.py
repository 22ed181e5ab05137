"""Release policies for tests: generated ones, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from cove.core.releasepolicy import (
    AlgorithmRules,
    ConsumerRules,
    CountRules,
    LeakRules,
    LogMode,
    LogRules,
    OutputRules,
    ReleasePolicy,
    ReviewMode,
    ReviewRules,
)

UNCHECKED = ReleasePolicy(leaks=LeakRules(check=False))
"""The leak check is off: what is within the limits leaves."""

UNCHECKED_FILE = "version = 1\ndefault = true\n[leaks]\ncheck = false\n"


def policy_folder(folder: Path, text: str = UNCHECKED_FILE) -> dict[str, Any]:
    """Write a policy file, and give the ``policies`` of settings that read it.

    For tests whose algorithms copy their input: the leak check would hold, rightly, what they look at.

    Args:
        folder: Where ``policies`` is made.
        text: Of the file; by default it turns the leak check off for all datasets.
    """
    place = folder / "policies"
    place.mkdir(parents=True, exist_ok=True)
    (place / "default.toml").write_text(text)
    return {"folder": place}


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_names = st.frozensets(st.sampled_from("abcd"), max_size=3)
_few = st.integers(0, 4)
types = st.sampled_from(["text/csv", "text/plain", "image/png", "image/gif", "application/zip"])
policies = st.builds(
    ReleasePolicy,
    algorithms=st.builds(AlgorithmRules, digests=_maybe(_names), publishers=_maybe(_names), raw=st.booleans()),
    consumers=st.builds(
        ConsumerRules, allowed=_maybe(_names), denied=_names, runs=_maybe(_few), period_seconds=st.integers(1, 9)
    ),
    outputs=st.builds(
        OutputRules,
        total_bytes=_maybe(st.integers(0, 200)),
        files=_maybe(_few),
        file_bytes=_maybe(st.integers(0, 90)),
        types=_maybe(st.frozensets(types | st.sampled_from(["image/*", "text/*"]), max_size=3)),
        rows=_maybe(_few),
    ),
    logs=st.builds(LogRules, mode=st.sampled_from(LogMode), tail_bytes=st.integers(0, 60)),
    leaks=st.builds(
        LeakRules,
        check=st.booleans(),
        fail_rows=st.integers(1, 6),
        warn_rows=st.integers(1, 6),
        identifiers=_names,
        canaries=_names,
    ),
    counts=st.builds(CountRules, columns=_names, threshold=_few),
    review=st.builds(
        ReviewRules,
        mode=st.sampled_from(ReviewMode),
        reviewers=st.integers(1, 2),
        expires_seconds=st.integers(60, 99),
    ),
    digests=st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("01")), max_size=2, unique=True).map(
        lambda found: tuple(sorted(found))
    ),
)
