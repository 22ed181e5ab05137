"""The file in which a data owner says what may leave a dataset: read strictly, and every fault with its place.

docs/reference/policy.md has every key; a test holds that page, this table and the defaults together.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cove.core.errors import SettingsWrong
from cove.core.policykeys import KEYS, MOCK, SECTIONS, Wrong
from cove.core.rehearsal import MockRules
from cove.core.releasepolicy import ReleasePolicy
from cove.core.tomlplaces import Path, line_and_column, places

VERSION: Final = 1
_TOP: Final = ("version", "dataset", "default")
_DID: Final = re.compile(r"did:op:[0-9a-f]{64}", re.ASCII)
_NAMED: Final = re.compile(r"^\s*dataset\s*=\s*[\"'](did:op:[0-9a-fA-F]{64})[\"']", re.ASCII | re.MULTILINE)
_DEFAULT: Final = re.compile(r"^\s*default\s*=\s*true\b", re.MULTILINE)
_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What one file says."""

    #: As it is called in errors.
    name: str
    #: DID in lower case; empty for the file of all datasets that have none of their own.
    dataset: str
    #: Without digests: those belong to a dataset.
    policy: ReleasePolicy
    #: Hex sha256 of the file.
    digest: str
    mock: MockRules = field(default_factory=MockRules)
    #: Line and column of each of ``mock.files``.
    sample_places: tuple[tuple[int, int], ...] = ()


class PolicyWrong(SettingsWrong):
    """A policy file cannot be used."""

    code = "policy"


def parse_policy(content: bytes, name: str) -> PolicyFile:
    """Read a policy file.

    Args:
        content: Its bytes.
        name: What errors call it.

    Raises:
        PolicyWrong: In one sentence, with line and column.
    """
    text, document = _read(content, name)
    reader = _Reader(text, document, name)
    try:
        return reader.file(hashlib.sha256(content).hexdigest())
    except Wrong as problem:
        raise reader.fault(problem) from None


def dataset_named(content: bytes) -> str | None:
    """Say which dataset a file that cannot be used seems to be about.

    Returns:
        A DID; empty for ``default = true``; None where nobody can tell.
    """
    text = content.decode("utf-8", "replace")
    dids = {
        found.lower()
        for found in re.findall(r"^\s*dataset\s*=\s*[\"'](did:op:[0-9a-fA-F]{64})[\"']", text, re.MULTILINE)
    }
    defaults = {""} if re.search(r"^\s*default\s*=\s*true\b", text, re.MULTILINE) else set()
    named = dids | defaults
    return named.pop() if len(named) == 1 else None


def _read(content: bytes, name: str) -> tuple[str, dict[str, Any]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line, column = line_and_column(content[: problem.start].decode("utf-8"), len(content[: problem.start].decode()))
        raise PolicyWrong(f"{name}, line {line}, column {column}: this is no UTF-8 text.") from None
    try:
        return text.replace("\r\n", "\n"), tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = _AT.search(str(problem))
        what = _AT.sub("", str(problem))
        line, column = (int(found[1]), int(found[2])) if found and found[1] else line_and_column(text, len(text))
        raise PolicyWrong(f"{name}, line {line}, column {column}: {_lower(what)}.") from None
    except RecursionError:
        raise PolicyWrong(f"{name}, line 1, column 1: the file is nested too deeply.") from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


class _Reader:
    """Reads one document."""

    def __init__(self, text: str, document: Mapping[str, Any], name: str) -> None:
        self._text = text
        self._document = document
        self._name = name

    def fault(self, problem: Wrong) -> PolicyWrong:
        """Give the sentence for a fault, with the place of what is wrong, or of the nearest thing around it."""
        line, column = self._place(problem.path, of_key=problem.of_key)
        return PolicyWrong(f"{self._name}, line {line}, column {column}: {problem.text}.")

    def _place(self, path: Path, *, of_key: bool = False) -> tuple[int, int]:
        try:
            found = places(self._text)
        except RecursionError:
            found = {}
        while path and path not in found:
            path = path[:-1]
        key, value = found.get(path, (0, 0))
        return line_and_column(self._text, key if of_key else value)

    def file(self, digest: str) -> PolicyFile:
        """Read everything."""
        document = self._document
        if document.get("version") != VERSION or isinstance(document.get("version"), bool):
            text = f"version must be {VERSION}" if "version" in document else f"the file must say version = {VERSION}"
            raise Wrong(("version",), text)
        self._known((), document, (*_TOP, *KEYS))
        dataset = self._dataset()
        sections: dict[str, Any] = {
            name: kind(**self._section(name, KEYS[name])) for name, kind in SECTIONS.items() if name in document
        }
        policy = ReleasePolicy(**sections)
        _agree(policy, document)
        mock = self._mock(dataset)
        found = tuple(self._place((MOCK, "files", number)) for number in range(len(mock.files)))
        return PolicyFile(self._name, dataset, policy, digest, mock, found)

    def _mock(self, dataset: str) -> MockRules:
        if MOCK not in self._document:
            return MockRules()
        rules = MockRules(**self._section(MOCK, KEYS[MOCK]))
        if not dataset:
            raise Wrong((MOCK,), "mock goes with a dataset: samples of one stand for no other", of_key=True)
        if not rules.files and not rules.free:
            raise Wrong((MOCK,), "mock must name files, or say free = true of an algorithm", of_key=True)
        return rules

    def _dataset(self) -> str:
        default = self._document.get("default", False)
        if not isinstance(default, bool):
            raise Wrong(("default",), "default must be true or false")
        did = self._document.get("dataset")
        if default:
            if did is not None:
                raise Wrong(("dataset",), "a file has dataset or default = true, and not both", of_key=True)
            return ""
        if did is None:
            raise Wrong((), 'the file must name its dataset = "did:op:..", or say default = true')
        if not isinstance(did, str) or not _DID.fullmatch(did.lower()):
            raise Wrong(("dataset",), "dataset must be did:op: and 64 hexadecimal digits")
        return did.lower()

    def _section(self, name: str, keys: Mapping[str, Any]) -> dict[str, Any]:
        given = self._table(name)
        self._known((name,), given, tuple(keys))
        return {keys[key].field: keys[key].read((name, key), value) for key, value in given.items()}

    def _table(self, name: str) -> Mapping[str, Any]:
        given = self._document.get(name, {})
        if not isinstance(given, dict):
            raise Wrong((name,), f"{name} must be a table, [{name}]", of_key=True)
        return given

    def _known(self, path: Path, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
        for name in given:
            if name not in names:
                shown = ".".join((*map(str, path), name))
                raise Wrong((*path, name), f"there is no key {shown!r}{_meant(path, name, names)}", of_key=True)


def _meant(path: Path, name: str, names: tuple[str, ...]) -> str:
    """Suggest what was meant: a key beside it, or one of this name elsewhere."""
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {'.'.join((*map(str, path), near[0]))!r}"
    elsewhere = [f"{section}.{key}" for section, keys in KEYS.items() for key in keys]
    last = {full: full.rpartition(".")[2] for full in elsewhere}
    close = difflib.get_close_matches(name, list(last.values()), 1)
    found = [full for full, key in last.items() if close and key == close[0]]
    return f"; did you mean {found[0]!r}" if found else f"; known are {', '.join(names)}"


def _agree(policy: ReleasePolicy, document: Mapping[str, Any]) -> None:
    """Refuse values that contradict each other: one of them is not what its owner thinks."""
    leaks = policy.leaks
    if leaks.warn_rows > leaks.fail_rows:
        given = "warn_rows" if "warn_rows" in document.get("leaks", {}) else "fail_rows"
        raise Wrong(
            ("leaks", given), f"leaks.warn_rows ({leaks.warn_rows}) must not be above fail_rows ({leaks.fail_rows})"
        )
    for name in ("identifiers", "canaries"):
        if not leaks.check and document.get("leaks", {}).get(name):
            raise Wrong(("leaks", name), f"leaks.{name} has no effect while leaks.check is false", of_key=True)
    if policy.consumers.runs is None and "period" in document.get("consumers", {}):
        raise Wrong(("consumers", "period"), "consumers.period has no effect without consumers.runs", of_key=True)
