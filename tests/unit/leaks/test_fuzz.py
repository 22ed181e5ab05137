"""Readers over damaged files: no crash, no hang, bounded memory, whatever the bytes.

``COVE_TEST_FUZZ=5000`` makes so many examples of each form instead of a few.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import leaking, schemas
from tests.support.looking import Looker, looker

from cove.leaks.readers import READERS

EXAMPLES = int(os.environ.get("COVE_TEST_FUZZ", "6"))
SECONDS = 10.0
MEMORY = 256 << 20
TABLE = schemas.people(300)
FORMS = {
    **leaking.FORMS,
    "png with pixels": lambda _: leaking.as_png(b"note", os.urandom(110)),
    "pdf": lambda _: (
        b"%PDF-1.4\n1 0 obj\n<</Filter/FlateDecode>>\nstream\n\x78\x9c\x03\x00\x00\x00\x00\x01\nendstream\n"
    ),
    "arrow": lambda table: _feather(table),  # noqa: PLW0108 - it is defined below
}
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat", "zero", "huge"]), st.floats(0, 1), st.integers(0, 255)
    ),
    min_size=1,
    max_size=6,
)
SETTINGS = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)


def _feather(table: schemas.Table) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second

    out = pa.BufferOutputStream()
    made = pa.table(dict(table))
    with pa.ipc.new_file(out, made.schema) as writer:
        writer.write_table(made)
    return bytes(out.getvalue())


def damaged(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    made = bytearray(content)
    for kind, share, value in changes:
        place = int(share * max(0, len(made) - 1))
        match kind:
            case "flip" if made:
                made[place] ^= value or 1
            case "cut":
                del made[place:]
            case "insert":
                made[place:place] = bytes([value]) * (value + 1)
            case "repeat":
                made[place:place] = made[place : place + 64] * 8
            case "zero":
                made[place : place + value] = bytes(min(value, len(made) - place))
            case "huge":
                made[place : place + 4] = b"\xff\xff\xff\x7f"
            case _:
                pass
    return bytes(made)


@pytest.fixture(scope="module")
def looks() -> Iterator[Looker]:
    with looker() as made:
        yield made


def looked_at(looks: Looker, content: bytes) -> None:
    looked = looks.look(content)
    assert looked.seconds < SECONDS
    assert looked.memory < MEMORY
    assert looked.path == "a"
    assert looked.opaque in {"", "bomb", "broken", "encrypted", "too_deep", "too_large", "unknown"}


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    return {name: write(TABLE) for name, write in FORMS.items()}


@pytest.mark.parametrize("form", FORMS)
@SETTINGS
@given(changes=CHANGES)
def test_damaged_files_end_nothing(
    form: str, looks: Looker, written: dict[str, bytes], changes: list[tuple[str, float, int]]
) -> None:
    looked_at(looks, damaged(written[form], changes))


@SETTINGS
@given(content=st.binary(max_size=4000))
def test_any_bytes_end_nothing(looks: Looker, content: bytes) -> None:
    looked_at(looks, content)


@SETTINGS
@given(content=st.text(max_size=4000))
def test_any_text_ends_nothing(looks: Looker, content: str) -> None:
    looked_at(looks, content.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", READERS)
@SETTINGS
@given(content=st.binary(max_size=500), changes=CHANGES)
def test_heads_of_every_form_before_any_bytes_end_nothing(
    name: str, looks: Looker, content: bytes, changes: list[tuple[str, float, int]]
) -> None:
    heads = {
        "gzip": b"\x1f\x8b\x08", "bzip2": b"BZh9", "xz": b"\xfd7zXZ\x00", "zstd": b"\x28\xb5\x2f\xfd", "zip": b"PK\x03\x04",
        "parquet": b"PAR1", "sqlite": b"SQLite format 3\x00", "npy": b"\x93NUMPY\x01\x00", "png": b"\x89PNG\r\n\x1a\n",
        "pdf": b"%PDF-1.7\nstream\n", "arrow": b"ARROW1\x00\x00", "pickle": b"\x80\x04\x95", "jsonl": b"{}\n{", "json": b"[",
        "markup": b"<html><td>", "delimited": b"a,b\n1,2\n", "safetensors": b'\x10\0\0\0\0\0\0\0{"',
    }  # fmt: skip
    looked_at(looks, heads.get(name, b"") + damaged(content, changes))


@pytest.mark.parametrize("offset", [-1, 2**31 - 1, 1 << 24])
def test_an_arrow_file_that_points_out_of_itself_is_broken(looks: Looker, offset: int) -> None:
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second

    words = pa.array([f"word {number}" for number in range(100)])
    out = pa.BufferOutputStream()
    with pa.ipc.new_file(out, pa.schema([("word", pa.string())])) as writer:
        writer.write_table(pa.table({"word": words}))
    content, offsets = bytes(out.getvalue()), words.buffers()[1].to_pybytes()[: 4 * 101]
    assert content.count(offsets) == 1
    wrong = bytearray(offsets)
    wrong[200:204] = offset.to_bytes(4, "little", signed=True)
    assert looks.look(content).opaque == ""
    assert looks.look(content.replace(offsets, bytes(wrong))).opaque == "broken"


def test_the_end_of_the_process_that_looks_is_told_and_what_follows_is_looked_at() -> None:
    with looker() as looks:
        assert looks.look(b"a").path == "a"
        os.kill(looks.pid, signal.SIGSEGV)
        with pytest.raises(AssertionError, match="that looked at 3 bytes ended with SIGSEGV"):
            looks.look(b"b,c")
        assert looks.look(b"a").path == "a"
