"""Parquet and Arrow files, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from cove.leaks.items import Budget, Item, OpaqueError, Table
from cove.leaks.sniffing import Form

_ROWS: Final = 65_536


def read(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the rows of a Parquet file.

    Raises:
        OpaqueError: It is broken or encrypted.
    """
    import pyarrow as pa  # noqa: PLC0415 - loading it takes a quarter of a second
    from pyarrow import parquet  # noqa: PLC0415

    try:
        opened = parquet.ParquetFile(pa.PythonFile(file, mode="r"), pre_buffer=False)
        for batch in opened.iter_batches(batch_size=_ROWS, use_threads=False):
            budget.take(batch.nbytes)
            yield _table(batch)
    except (ValueError, OSError, NotImplementedError, pa.ArrowException) as problem:
        raise OpaqueError("encrypted" if "encrypt" in str(problem).lower() else "broken") from None


def read_arrow(file: BinaryIO, _form: Form, budget: Budget) -> Iterator[Item]:
    """Give the rows of an Arrow file (Feather).

    Raises:
        OpaqueError: It is broken.
    """
    import pyarrow as pa  # noqa: PLC0415 - loading it takes a quarter of a second

    try:
        opened = pa.ipc.open_file(pa.PythonFile(file, mode="r"))
        for place in range(opened.num_record_batches):
            batch = opened.get_batch(place)
            batch.validate(full=True)  # reading an Arrow file trusts it: offsets may point anywhere in memory
            budget.take(batch.nbytes)
            yield _table(batch)
    except (ValueError, OSError, NotImplementedError, pa.ArrowException):
        raise OpaqueError("broken") from None


def _table(batch: Any) -> Table:  # noqa: ANN401 - Arrow has no types
    return Table(batch.schema.names, batch.columns)
