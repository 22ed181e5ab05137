"""A typed client of Cove's HTTP API.

>>> from cove.client import CoveClient, Signer
>>> with CoveClient("http://127.0.0.1:8030", Signer.from_file(path)) as cove:  # doctest: +SKIP
...     job = cove.start(request)
...     for status in cove.watch(job.jobId):
...         print(status.statusText)
...     for result in cove.results(job.jobId):
...         cove.download(job.jobId, result.index, folder / str(result.index), entry=result)
"""

from cove.client.client import CoveClient, is_final, succeeded
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
