"""What can go wrong for a client.

::

    ClientError
    |-- NotReachable        nothing answered at the address, or it broke off
    |   +-- UrlWrong        the address is no URL
    |-- BadAnswer           something answered that is no Cove
    |-- ServerRefused       the server said no, with its reasons
    |   |-- NotThere        404: no such job, result or asset, or not yours
    |   +-- Overloaded      429 or 5xx: nothing is wrong with the request, try again later
    |-- JobFailed           the job ended, and not with success
    |-- DownloadBroken      a file's bytes are not what the status promised
    |-- TooLarge            more bytes than the caller wanted to hold
    +-- KeyMissing          a signature is needed and there is no key, or it is no key

Every text is one sentence, made for people; none quotes a key or a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cove.wire import StatusObject  # the models take long to make

_NOT_FOUND = 404
_TOO_MANY = 429
_OUR_FAULT = 500


class ClientError(Exception):
    """A request did not give what was asked for.

    Args:
        message: One sentence for people.
        hint: What to do about it; None where there is nothing to add.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotReachable(ClientError):
    """Nothing answers at the address, or it stopped in the middle."""


class UrlWrong(NotReachable):
    """The address is no URL that a server can have."""


class BadAnswer(ClientError):
    """What answers does not speak Cove's API."""


class ServerRefused(ClientError):
    """The server said no.

    Args:
        status: The HTTP status.
        code: The stable code for machines; empty when the server gave none.
        fields: What is wrong with each dotted field.
        text: One sentence.
        hint: What to do; None when the server gave no advice.
        retry_after: Seconds to wait before another try; None when the server did not say.
    """

    def __init__(
        self,
        status: int,
        code: str,
        fields: Mapping[str, Sequence[str]],
        text: str,
        hint: str | None = None,
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text, hint=hint)
        self.status = status
        self.code = code
        self.fields = {field: list(texts) for field, texts in fields.items()}
        self.text = text
        self.retry_after = retry_after


class NotThere(ServerRefused):
    """There is no such thing, or it is not the caller's."""


class Overloaded(ServerRefused):
    """The server, or something behind it, cannot answer now."""


class JobFailed(ClientError):
    """The job ended without success.

    Args:
        job: Its last status.
    """

    def __init__(self, job: StatusObject) -> None:
        super().__init__(f"Job {job.jobId} ended: {job.statusText}.", hint=job.message)
        self.job = job


class DownloadBroken(ClientError):
    """A downloaded file is not what the server had promised; nothing was kept of it."""


class TooLarge(ClientError):
    """The file has more bytes than the caller wanted to hold."""


class KeyMissing(ClientError):
    """This needs a signature, and there is no usable key."""


def refusal(
    status: int,
    *,
    code: str,
    fields: Mapping[str, Sequence[str]],
    text: str,
    hint: str | None,
    retry_after: float | None,
) -> ServerRefused:
    """Give the error class that fits an HTTP status."""
    kind: type[ServerRefused] = ServerRefused
    if status == _NOT_FOUND:
        kind = NotThere
    elif status == _TOO_MANY or status >= _OUR_FAULT:
        kind = Overloaded
    return kind(status, code, fields, text, hint, retry_after=retry_after)
