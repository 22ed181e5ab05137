from __future__ import annotations

import hashlib
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cove.core.policyfile import PolicyFile, PolicyWrong, dataset_named, parse_policy
from cove.core.policykeys import KEYS
from cove.core.rehearsal import MockRules
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
from cove.core.tomlplaces import places

DID = "did:op:" + "a" * 64
ADDRESS = "0x" + "Ab" * 20
PATH = "below this file's folder or absolute, without . and .."
HEAD = f'version = 1\ndataset = "{DID}"\n'
FULL = f"""# everything at once
version = 1
dataset = "{DID.upper().replace("DID:OP", "did:op")}"

[algorithms]
digests = ["sha256:{"1" * 64}", "{"2" * 128}", "sha256:{"1" * 64}+{"3" * 64}"]
publishers = ["{ADDRESS}"]
raw = false
[consumers]
allowed = ["{ADDRESS}"]
denied = []
runs = 3
period = "7 days"
[outputs]
total = "10 MiB"
files = 5
largest = 1000
types = ["text/CSV", "image/*"]
rows = 100
[logs]
mode = "tail"
tail = "1.5 kB"
[leaks]
check = true
fail_rows = 5
warn_rows = 2
identifiers = ["Name"]
canaries = ["kanarienvogel"]
[counts]
columns = ["ward"]
threshold = 20
[review]
mode = "always"
reviewers = 2
expires = "12 hours"
[mock]
files = ["sample.csv",
  "/srv/samples/two"]
free = true
"""


def parse(text: str) -> PolicyFile:
    return parse_policy(text.encode(), "p.toml")


def fault(text: str) -> str:
    with pytest.raises(PolicyWrong) as problem:
        parse(text)
    return problem.value.message


def test_a_file_of_nothing_but_its_dataset_is_the_built_in_policy() -> None:
    found = parse(HEAD)
    assert found == PolicyFile("p.toml", DID, ReleasePolicy(), hashlib.sha256(HEAD.encode()).hexdigest())


def test_a_file_for_all_others() -> None:
    assert parse("version = 1\ndefault = true").dataset == ""
    assert parse(HEAD + "default = false").dataset == DID


def test_every_key_reaches_its_field() -> None:
    found = parse(FULL)
    assert found.dataset == DID
    account = ADDRESS.lower()
    assert found.policy == ReleasePolicy(
        AlgorithmRules(
            frozenset({f"sha256:{'1' * 64}", "2" * 128, f"sha256:{'1' * 64}+{'3' * 64}"}), frozenset({account}), raw=False
        ),
        ConsumerRules(frozenset({account}), frozenset(), 3, 7 * 86_400),
        OutputRules(10 << 20, 5, 1000, frozenset({"text/csv", "image/*"}), 100),
        LogRules(LogMode.TAIL, 1500),
        LeakRules(check=True, fail_rows=5, warn_rows=2, identifiers=frozenset({"Name"}), canaries=frozenset({"kanarienvogel"})),
        CountRules(frozenset({"ward"}), 20),
        ReviewRules(ReviewMode.ALWAYS, 2, 12 * 3600),
    )  # fmt: skip
    assert found.mock == MockRules(("sample.csv", "/srv/samples/two"), free=True)
    assert found.sample_places == ((37, 10), (38, 3))
    document = tomllib.loads(FULL)
    assert {section: set(keys) for section, keys in KEYS.items()} == {name: set(document[name]) for name in KEYS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version = 1\ndataset = ", "line 2, column 11: invalid value."),
        ("version = 1\n[outputs", "line 2, column 9: expected ']' at the end of a table declaration."),
        ('version = 1\nx = """', "line 2, column 8: unterminated string."),
        ("", "line 1, column 1: the file must say version = 1."),
        (f'dataset = "{DID}"', "line 1, column 1: the file must say version = 1."),
        ("version = 2", "line 1, column 11: version must be 1."),
        ("version = true", "line 1, column 11: version must be 1."),
        ("version = 1", 'line 1, column 1: the file must name its dataset = "did:op:..", or say default = true.'),
        ("version = 1\ndefault = 1", "line 2, column 11: default must be true or false."),
        ("version = 1\ndataset = 'did:op:1'", "line 2, column 11: dataset must be did:op: and 64 hexadecimal digits."),
        (HEAD + "default = true", "line 2, column 1: a file has dataset or default = true, and not both."),
        (HEAD + "output = 1", "line 3, column 1: there is no key 'output'; did you mean 'outputs'."),
        (HEAD + "[outputs]\nrow = 1", "line 4, column 1: there is no key 'outputs.row'; did you mean 'outputs.rows'."),
        (HEAD + "[outputs]\n'check' = 1", "line 4, column 1: there is no key 'outputs.check'; did you mean 'leaks.check'."),
        (HEAD + "[leaks]\nxyz = 1", "line 4, column 1: there is no key 'leaks.xyz'; known are check, fail_rows, warn_rows, identifiers, canaries."),
        (HEAD + "logs = 1", "line 3, column 1: logs must be a table, [logs]."),
        (HEAD + "[[logs]]\nmode = 'off'", "line 3, column 1: logs must be a table, [logs]."),
        (HEAD + "[outputs]\n  rows = -1", "line 4, column 10: outputs.rows must be a whole number from 0 to 1000000000."),
        (HEAD + "[outputs]\nrows = true", "line 4, column 8: outputs.rows must be a whole number from 0 to 1000000000."),
        (HEAD + "outputs = { files = 1, total = '10 apples' }", 'line 3, column 32: outputs.total must be a size, such as "10 MiB", or a number of bytes.'),
        (HEAD + "outputs.total = -1", 'line 3, column 17: outputs.total must be a size, such as "10 MiB", or a number of bytes.'),
        (HEAD + "[outputs]\ntypes = ['text/csv',\n  'csv']", "line 5, column 3: an entry of outputs.types must be a media type, such as text/csv or image/*."),
        (HEAD + "[outputs]\ntypes = 'text/csv'", "line 4, column 9: outputs.types must be a list."),
        (HEAD + "[consumers]\nallowed = ['0x12']", "line 4, column 12: an entry of consumers.allowed must be an address: 0x and 40 hexadecimal digits."),
        (HEAD + "[algorithms]\ndigests = ['sha256:12']", "line 4, column 12: an entry of algorithms.digests must be sha256: and 64 hexadecimal digits of an image, the digests of an algorithm's files, or both with + between them."),
        (HEAD + "[consumers]\nruns = 1\nperiod = 3", 'line 5, column 10: consumers.period must be a time, such as "7 days".'),
        (HEAD + "[consumers]\nruns = 1\nperiod = '2000 days'", "line 5, column 10: consumers.period must be from 1 seconds to 366 days."),
        (HEAD + "[consumers]\nperiod = '2 days'", "line 4, column 1: consumers.period has no effect without consumers.runs."),
        (HEAD + "[logs]\nmode = 'some'", "line 4, column 8: logs.mode must be one of off, tail, full, live."),
        (HEAD + "[leaks]\nfail_rows = 0", "line 4, column 13: leaks.fail_rows must be a whole number from 1 to 1000000000."),
        (HEAD + "[leaks]\nwarn_rows = 4", "line 4, column 13: leaks.warn_rows (4) must not be above fail_rows (3)."),
        (HEAD + "[leaks]\ncheck = false\ncanaries = ['abcd']", "line 5, column 1: leaks.canaries has no effect while leaks.check is false."),
        (HEAD + "[leaks]\ncanaries = ['abc']", "line 4, column 13: an entry of leaks.canaries must be a text of 4 to 4096 characters."),
        (HEAD + "[review]\nreviewers = 3", "line 4, column 13: review.reviewers must be a whole number from 1 to 2."),
        (HEAD + "[algorithms]\nraw = 'no'", "line 4, column 7: algorithms.raw must be true or false."),
        (HEAD + "[mock]", "line 3, column 1: mock must name files, or say free = true of an algorithm."),
        (HEAD + "[mock]\nfiles = []", "line 4, column 9: mock.files must be a list of at least one file."),
        (HEAD + "[mock]\nfiles = 's.csv'", "line 4, column 9: mock.files must be a list of at least one file."),
        *((HEAD + f"[mock]\nfiles = [{wrong}]", f"line 4, column 10: an entry of mock.files must be a path, {PATH}.")
          for wrong in ("1", "''", "'.'", "'/'", "'../a'", "'a/../b'", "'a//b'", "'/a/./b'", "'a/'", '"a\\nb"', '"a\\u0000"')),
        (HEAD + "[mock]\nfree = 1", "line 4, column 8: mock.free must be true or false."),
        ("version = 1\ndefault = true\n[mock]\nfree = true", "line 3, column 1: mock goes with a dataset: samples of one stand for no other."),
        (HEAD.replace("\n", "\r\n") + "[algorithms]\r\nraw = 'no'", "line 4, column 7: algorithms.raw must be true or false."),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(text: str, expected: str) -> None:
    assert fault(text) == f"p.toml, {expected}"


def test_bytes_that_are_no_text_have_a_place_too() -> None:
    with pytest.raises(PolicyWrong, match=r"^p.toml, line 2, column 4: this is no UTF-8 text\.$"):
        parse_policy("version = 1\n# ä".encode() + b"\xff", "p.toml")


def test_a_file_is_not_followed_into_the_deep() -> None:
    for depth in (300, 5000):
        assert fault(HEAD + "a = " + "[" * depth + "]" * depth).startswith("p.toml, line ")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f'dataset = "{DID}"\n[broken', DID),
        (f"  dataset='{DID}' # x\n[broken", DID),
        ("default = true\n[broken", ""),
        (f'default = true\ndataset = "{DID}"\n[broken', None),
        (f'dataset = "{DID}"\ndataset = "did:op:{"b" * 64}"', None),
        ("[broken", None),
        ("\udcff", None),
    ],
)
def test_a_broken_file_may_still_say_what_it_is_about(text: str, named: str | None) -> None:
    assert dataset_named(text.encode("utf-8", "surrogateescape")) == named


_keys = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=("Cc", "Cs")), max_size=4)
_values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[ " + ", # one ] \n".join(map(_written, value)) + "\n]"
    return "{" + ", ".join(f"{_quoted(key)} = {_written(entry)}" for key, entry in value.items()) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(_keys, _values, max_size=4))
def test_every_value_of_a_document_has_its_place(document: dict[str, Any]) -> None:
    text = "".join(f"{_quoted(key)} = {_written(value)} # = [\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    found = places(text)

    def look(path: tuple[str | int, ...], value: Any) -> None:
        written = _written(value)
        assert text[found[path][1] :].startswith(written)
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, entry in entries:
            look((*path, key), entry)

    for key, value in document.items():
        look((key,), value)


@given(st.text(max_size=60) | st.sampled_from([FULL, HEAD]).flatmap(
    lambda text: st.tuples(st.integers(0, len(text)), st.text(max_size=4)).map(
        lambda at: text[: at[0]] + at[1] + text[at[0] :]
    )
))  # fmt: skip
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_policy(text.encode("utf-8", "surrogatepass"), "p.toml")
    except PolicyWrong as problem:
        assert problem.message.startswith("p.toml, line ")
        assert "\n" not in problem.message.replace(text, "")
