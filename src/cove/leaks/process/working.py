"""One reading process: confined, it makes one index, or looks into the outputs of one job, and ends."""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import sys
import time
from dataclasses import asdict
from typing import Any, Final

from cove.core.releasepolicy import CountRules, LeakRules
from cove.leaks import index as indexes
from cove.leaks.cells import Hashing
from cove.leaks.indexing import Indexer
from cove.leaks.limits import LeakLimits
from cove.leaks.process import frames
from cove.leaks.process.confinement import bound, confine
from cove.leaks.scanning import Scanner

_PART: Final = 1 << 20
_MOST_INDEX: Final = 8 << 30


def warm_up() -> None:
    """Load, once, what most files need."""
    hashing = Hashing(bytes(16))
    scanner = Scanner(hashing, (), LeakRules(), CountRules(), LeakLimits())
    scanner.file("a.csv", "output", "", b"a,b\n1,2\n3,4\n")
    scanner.file("a.json", "output", "", b'[{"a": 1}]')


def work(channel: socket.socket) -> None:
    """Do what the first message says."""
    try:
        order, descriptors = frames.receive(channel)
        limits = LeakLimits(**order["limits"])
        is_build = order["order"] == "build"
        bound(limits.memory, limits.index_seconds if is_build else limits.seconds, _MOST_INDEX if is_build else 0)
        held = confine()
        try:
            answer = _build(channel, order, descriptors) if is_build else _inspect(channel, order, descriptors, limits)
        except MemoryError:
            answer = {"failure": "memory"}
        except TimeoutError:
            answer = {"failure": "time"}
        frames.send(channel, {**answer, "held": held, "arrow": "pyarrow" in sys.modules, "cpu": time.process_time()})
    except frames.ClosedError:
        return


def _build(channel: socket.socket, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Make an index of the files that come, into the first descriptor."""
    (into,) = descriptors
    indexer = Indexer(Hashing(bytes.fromhex(order["key"])), frozenset(order["identifiers"]), order["size"])
    while True:
        message, files = frames.receive(channel)
        if not message["files"]:
            break
        for name, descriptor in zip(message["files"], files, strict=True):
            with open(descriptor, "rb", buffering=_PART) as file:  # noqa: PTH123 - a descriptor
                indexer.file(file, name)
        frames.send(channel, {})
    found = indexer.finish()
    for piece in indexes.dump(found):
        view = memoryview(piece)
        while view:
            view = view[os.write(into, view) :]
    return {"rows": found.rows, "opaque": found.opaque}


def _inspect(
    channel: socket.socket, order: dict[str, Any], _descriptors: list[int], limits: LeakLimits
) -> dict[str, Any]:
    """Look into the files that come, and answer each batch."""
    inputs: list[tuple[str, indexes.Index]] = []
    while len(inputs) < order["inputs"]:
        message, descriptors = frames.receive(channel)
        for dataset, descriptor in zip(message["datasets"], descriptors, strict=True):
            inputs.append((dataset, indexes.load(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))))
            os.close(descriptor)
    leaks, counts = order["leaks"], order["counts"]
    scanner = Scanner(
        Hashing(bytes.fromhex(order["key"])),
        inputs,
        LeakRules(canaries=frozenset(leaks["canaries"]), identifiers=frozenset(leaks["identifiers"])),
        CountRules(frozenset(counts["columns"]), counts["threshold"]),
        limits,
    )
    while True:
        message, descriptors = frames.receive(channel)
        if not message["files"]:
            return {"rows": scanner.comparison.total()}
        reports = []
        for file, descriptor in zip(message["files"], descriptors, strict=True):
            reports.append(_file(scanner, file, descriptor, limits))
            os.close(descriptor)
        frames.send(channel, {"reports": reports})


def _file(scanner: Scanner, file: dict[str, Any], descriptor: int, limits: LeakLimits) -> dict[str, Any]:
    path, kind, size = file["path"], file["type"], file["size"]
    if size > limits.file_bytes:
        report = scanner.file(path, kind, _digest(descriptor, size), os.pread(descriptor, _PART, 0))
        return {**asdict(report), "opaque": "too_large"}
    content = _content(descriptor, size)
    digest = hashlib.sha256(content).hexdigest()
    return asdict(scanner.file(path, kind, digest, content))


def _content(descriptor: int, size: int) -> bytes:
    kept = bytearray()
    while len(kept) <= size and (part := os.read(descriptor, min(_PART, size + 1 - len(kept)))):
        kept.extend(part)
    return bytes(kept)


def _digest(descriptor: int, size: int) -> str:
    digest = hashlib.sha256()
    place = 0
    while place <= size and (part := os.pread(descriptor, _PART, place)):
        digest.update(part)
        place += len(part)
    return digest.hexdigest()
