"""A folder of policy files that owners change while the service runs."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cove.core.errors import SettingsWrong, Unavailable
from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import LeakRules, ReleasePolicy
from cove.policies.folder import MAX_BYTES, FolderPolicies

A, B, C = ("did:op:" + letter * 64 for letter in "abc")


def text(dataset: str, rows: int = 9) -> str:
    return f'version = 1\ndataset = "{dataset}"\n[leaks]\nfail_rows = {rows}\n'


DEFAULT = "version = 1\ndefault = true\n[leaks]\nfail_rows = 50\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.toml").write_text(text(A))
    return tmp_path


async def fails_at(policies: FolderPolicies, dataset: str) -> int:
    (policy,) = await policies.of([dataset])
    return policy.leaks.fail_rows


async def refused(policies: FolderPolicies, *datasets: str) -> bool:
    for dataset in datasets:
        with pytest.raises(Unavailable) as problem:
            await policies.of([dataset])
        assert dataset in problem.value.message
        assert "line" not in f"{problem.value.message} {problem.value.hint}"
    return True


async def test_without_a_folder_every_dataset_has_the_built_in_policy() -> None:
    policies = FolderPolicies(None)
    policies.check()
    assert await policies.of([A, B]) == (ReleasePolicy(), ReleasePolicy())
    assert [finding.ok for finding in await policies.examine()] == [True]


async def test_each_dataset_has_its_own_and_the_digest_of_its_file(folder: Path) -> None:
    policies = FolderPolicies(folder)
    policies.check()
    digest = hashlib.sha256(text(A).encode()).hexdigest()
    mine, other = await policies.of([A.upper().replace("DID:OP", "did:op"), B])
    assert mine == ReleasePolicy(leaks=LeakRules(fail_rows=9), digests=((A, digest),))
    assert other == ReleasePolicy()
    (folder / "all.toml").write_text(DEFAULT)
    (other,) = await policies.of([B])
    assert (other.leaks.fail_rows, other.digests[0][0]) == (50, B)
    assert await fails_at(policies, A) == 9


async def test_a_change_is_seen_at_once_also_one_that_leaves_size_and_time(folder: Path) -> None:
    policies = FolderPolicies(folder)
    place = folder / "a.toml"
    assert await fails_at(policies, A) == 9
    for rows in range(3, 9):
        found = place.stat()
        place.write_text(text(A, rows))
        os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert await fails_at(policies, A) == rows
    place.unlink()
    assert await fails_at(policies, A) == 3


async def test_files_are_not_read_again_while_they_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cove.policies.folder._SETTLED_NS", -(10**18))
    policies = FolderPolicies(folder)
    await policies.of([A])
    monkeypatch.setattr("cove.policies.folder.parse_policy", None)
    assert await fails_at(policies, A) == 9


@pytest.mark.parametrize("content", [
    text(A).replace("9", "nine"),
    text(A).replace("9", '"nine"'),
    text(A).replace("fail_rows", "fail_row"),
])  # fmt: skip
async def test_a_file_that_breaks_keeps_jobs_off_its_dataset_alone(
    folder: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    policies = FolderPolicies(folder)
    (folder / "b.toml").write_text(text(B))
    policies.check()
    (folder / "a.toml").write_text(content)
    with caplog.at_level(logging.ERROR, "cove.policies"):
        assert await refused(policies, A)
        assert await fails_at(policies, B) == 9
        assert await fails_at(policies, C) == 3
        assert await refused(policies, A)
    assert len(caplog.messages) == 1
    assert f"{folder}/a.toml, line 4, column" in caplog.text
    (folder / "a.toml").write_text(text(A, 5))
    assert await fails_at(policies, A) == 5


async def test_a_broken_file_of_nobody_knows_what_keeps_jobs_off_all_that_have_no_file(folder: Path) -> None:
    policies = FolderPolicies(folder)
    (folder / "new.toml").write_text("[broken")
    assert await fails_at(policies, A) == 9
    assert await refused(policies, B, C)


async def test_what_a_file_was_about_before_is_kept_closed_too(folder: Path) -> None:
    policies = FolderPolicies(folder)
    await policies.of([A])
    (folder / "a.toml").write_text("[broken")
    assert await refused(policies, A, B)
    (folder / "a.toml").write_text(f'dataset = "{B}"')
    assert await refused(policies, A, B)
    assert await fails_at(policies, C) == 3


async def test_a_broken_default_keeps_jobs_off_all_that_have_no_file(folder: Path) -> None:
    policies = FolderPolicies(folder)
    (folder / "all.toml").write_text(DEFAULT.replace("50", "-1"))
    assert await fails_at(policies, A) == 9
    assert await refused(policies, B)


async def test_two_files_on_one_dataset_are_none(folder: Path) -> None:
    policies = FolderPolicies(folder)
    (folder / "also.toml").write_text(text(A.upper().replace("DID:OP", "did:op")))
    assert await refused(policies, A)
    assert await fails_at(policies, B) == 3
    (folder / "x.toml").write_text(DEFAULT)
    (folder / "y.toml").write_text(DEFAULT)
    assert await refused(policies, A, B)
    problems = [finding.seen for finding in await policies.examine()]
    assert [("2 files are about" in problem, "a.toml and" in problem) for problem in problems] == [
        (True, True),
        (True, False),
    ]


async def test_a_start_is_refused_with_the_place_of_the_first_fault(folder: Path) -> None:
    (folder / "a.toml").write_text(text(A).replace("9", "0"))
    with pytest.raises(SettingsWrong) as problem:
        FolderPolicies(folder).check()
    assert problem.value.message == (
        f"{folder}/a.toml, line 4, column 13: leaks.fail_rows must be a whole number from 1 to 1000000000."
    )
    with pytest.raises(SettingsWrong, match="cannot be read: No such file or directory"):
        FolderPolicies(folder / "none").check()


async def test_a_folder_that_is_gone_keeps_all_jobs_off(folder: Path) -> None:
    policies = FolderPolicies(folder)
    policies.check()
    moved = folder.with_name("moved")
    shutil.move(folder, moved)
    with pytest.raises(Unavailable):
        await policies.of([A])
    assert [finding.ok for finding in await policies.examine()] == [False]
    shutil.move(moved, folder)
    assert await fails_at(policies, A) == 9


async def test_what_is_no_readable_file_of_bounded_size_is_a_fault(folder: Path) -> None:
    (folder / "large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    (folder / "folder.toml").mkdir()
    (folder / "link.toml").symlink_to("nowhere")
    (folder / "readme.txt").write_text("not looked at")
    _, problems = FolderPolicies(folder).survey()
    assert [problem.partition(", ")[0].rpartition("/")[2] for problem in problems] == [
        "folder.toml",
        "large.toml",
        "link.toml",
    ]
    assert all("line 1, column 1: the file" in problem for problem in problems)


SAMPLED = f'version = 1\ndataset = "{A}"\n[mock]\nfiles = ["s/one.csv", '


async def test_samples_are_found_below_the_folder_or_where_they_are_said_to_be(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "policies", tmp_path / "elsewhere.csv"
    (folder / "s").mkdir(parents=True)
    (folder / "s" / "one.csv").write_text("a")
    elsewhere.write_text("b")
    (folder / "a.toml").write_text(f'{SAMPLED}"{elsewhere}"]\nfree = true\n')
    policies = FolderPolicies(folder)
    policies.check()
    mine, other = await policies.mocks([A.upper().replace("DID:OP", "did:op"), B])
    assert mine == MockRules((str(folder / "s" / "one.csv"), str(elsewhere)), free=True)
    assert other == MockRules()
    assert await FolderPolicies(None).mocks([A]) == (MockRules(),)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "cannot be had: No such file or directory"),
        (lambda place: place.mkdir(), "is a folder; name each file"),
        (os.mkfifo, "is no regular file; name each file"),
        (lambda place: place.symlink_to(place.parent / "a.toml"), "is a link, or behind one; give the file itself"),
        (lambda place: place.symlink_to("/nowhere"), "is a link, or behind one; give the file itself"),
    ],
)
async def test_a_sample_that_cannot_be_used_is_in_the_way_of_a_start_and_of_mock_jobs(
    folder: Path, make: Callable[[Path], None], why: str
) -> None:
    (folder / "s").mkdir()
    (folder / "s" / "one.csv").write_text("a")
    (folder / "a.toml").write_text(f'{SAMPLED}\n"two.csv"]\n')
    make(folder / "two.csv")
    policies = FolderPolicies(folder)
    with pytest.raises(SettingsWrong) as problem:
        policies.check()
    sentence = f"{folder}/a.toml, line 5, column 1: the sample two.csv {why}."
    assert problem.value.message == sentence
    assert [(one.ok, one.seen) for one in await policies.examine()] == [(False, sentence)]
    with pytest.raises(Unavailable, match=f"The sample of {A} cannot be used at present"):
        await policies.mocks([A])
    (policy,) = await policies.of([A])
    assert policy.digests[0][0] == A, "other jobs are not affected"


async def test_no_sample_lies_behind_a_link_or_among_private_files(tmp_path: Path) -> None:
    folder, private = tmp_path / "policies", tmp_path / "private"
    (private / "deep").mkdir(parents=True)
    folder.mkdir()
    (private / "deep" / "one.csv").write_text("a")
    (folder / "s").symlink_to(private / "deep")
    (tmp_path / "way").symlink_to(private)
    (folder / "a.toml").write_text(f'{SAMPLED}"{tmp_path}/way/deep/one.csv"]\n')
    _, problems = FolderPolicies(folder, {"data": tmp_path / "way"}).survey()
    assert [problem.partition(": ")[2] for problem in problems] == [
        "the sample s/one.csv is a link, or behind one; give the file itself.",
        f"the sample {tmp_path}/way/deep/one.csv lies in the local root data, among private files; keep it elsewhere.",
    ]
