"""A typed client of Cove's HTTP API.

>>> from cove.client import CoveClient, Signer
>>> with CoveClient("http://127.0.0.1:8030", Signer.from_file(path)) as cove:  # doctest: +SKIP
...     job = cove.start(request)
...     for status in cove.watch(job.jobId):
...         print(status.statusText)
...     for result in cove.results(job.jobId):
...         cove.download(job.jobId, result.index, folder / str(result.index), entry=result)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cove.client.errors import (
    BadAnswer,
    ClientError,
    DownloadBroken,
    JobFailed,
    KeyMissing,
    NotReachable,
    NotThere,
    Overloaded,
    ServerRefused,
    TooLarge,
    UrlWrong,
)
from cove.client.signing import Signer

if TYPE_CHECKING:
    from cove.client.client import CoveClient, is_final, succeeded
    from cove.wire import Environment, Initialized, ResultEntry
    from cove.wire import StatusObject as JobStatus

__all__ = [
    "BadAnswer",
    "ClientError",
    "CoveClient",
    "DownloadBroken",
    "Environment",
    "Initialized",
    "JobFailed",
    "JobStatus",
    "KeyMissing",
    "NotReachable",
    "NotThere",
    "Overloaded",
    "ResultEntry",
    "ServerRefused",
    "Signer",
    "TooLarge",
    "UrlWrong",
    "is_final",
    "succeeded",
]

# The models of the API take long to make, and many a command has no use for them: what needs them comes when it is
# asked for.
_LATER = {
    "CoveClient": ("cove.client.client", "CoveClient"),
    "Environment": ("cove.wire", "Environment"),
    "Initialized": ("cove.wire", "Initialized"),
    "JobStatus": ("cove.wire", "StatusObject"),
    "ResultEntry": ("cove.wire", "ResultEntry"),
    "is_final": ("cove.client.client", "is_final"),
    "succeeded": ("cove.client.client", "succeeded"),
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, its_name = _LATER[name]
    found: object = getattr(import_module(module), its_name)
    globals()[name] = found
    return found
