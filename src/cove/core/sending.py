"""Which results are sent to a consumer's storage, and under which names."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from cove.core.errors import Refused
from cove.core.job import ResultFile
from cove.core.output import STORAGE_FIELD, Storage
from cove.core.policy import OUTPUT

LONGEST_OBJECT_KEY: Final = 1024
"""Bytes of an object's name in S3."""


def name_of(result: ResultFile) -> str:
    """Give the relative path that a result is sent under: outputs and logs in a folder each, as the job wrote them."""
    match result.type:
        case "output":
            return f"outputs/{result.filename}"
        case "publishLog":
            return result.filename
        case _:
            return f"logs/{result.filename}"


def chosen(results: tuple[ResultFile, ...], storage: Storage) -> tuple[int, ...]:
    """Give the indices of the results that are sent, in their order.

    Into a folder goes each stored file; an object alone is the archive of all outputs, which is none where there are
    no outputs.
    """
    return tuple(
        index
        for index, result in enumerate(results)
        if (bool(result.key) if storage.is_folder else not result.key and result.type == OUTPUT)
    )


def encoded(name: str) -> str:
    """Give a name for a URL's path, percent-encoded; bytes that are no UTF-8 stay what they are."""
    return quote(name.encode("utf-8", "surrogateescape"), safe="/-_.~")


def object_key(prefix: str, name: str) -> str:
    """Give the key of an object below a folder; S3 takes UTF-8 alone, so other bytes stand as ``%XX``.

    Raises:
        Refused: It is longer than S3 takes.
    """
    key = prefix + "".join(f"%{ord(one) - 0xDC00:02X}" if "\udc80" <= one <= "\udcff" else one for one in name)
    if len(key.encode("utf-8", "replace")) > LONGEST_OBJECT_KEY:
        raise Refused(STORAGE_FIELD, "name_too_long", hint="The name of a result is longer than S3 takes.")
    return key
