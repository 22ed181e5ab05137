from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from cove.core.job import ResultFile
from cove.jobs.tarball import plan, total

NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=120)


@given(st.dictionaries(NAMES.filter(lambda name: name not in {".", ".."}), st.binary(max_size=2000), max_size=6))
def test_the_archive_holds_exactly_the_outputs(contents: dict[str, bytes]) -> None:
    results = [
        ResultFile(name, len(content), "output", "", key=str(number))
        for number, (name, content) in enumerate(contents.items())
    ]
    stored = {str(number): content for number, content in enumerate(contents.values())}
    log = ResultFile("algorithm.log", 3, "algorithmLog", "", key="log")
    segments = plan([log, *results], modified=1_700_000_000.9)
    archive = b"".join(stored[segment.key] if segment.key else segment.literal for segment in segments)
    assert len(archive) == total(segments)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == [f"outputs/{name}" for name in contents]
        assert all(member.isreg() and member.mode == 0o644 for member in members)
        for member, content in zip(members, contents.values(), strict=True):
            extracted = tar.extractfile(member)
            assert extracted is not None
            assert extracted.read() == content


def test_no_outputs_make_an_empty_archive() -> None:
    assert total(plan([], 0.0)) == 1024
