"""Everything that can go wrong, by whose fault it is.

::

    CoveError
    |-- ConsumerError          the caller's request cannot be served as it is
    |   |-- Invalid            a field is missing or malformed        (400, "Validation error")
    |   |-- Refused            a rule says no, with a code per field  (400)
    |   |-- BadSignature       the signature is not the address's     (400)
    |   |-- NotFound           no such thing, or not the caller's     (404)
    |   |-- Forbidden          known, and not allowed                 (403)
    |   `-- TooMany            slow down                              (429)
    |       `-- RateLimited    more requests than a limit of the owner's allows (429)
    |-- AlgorithmError         the algorithm cannot be run as it was published
    |   |-- ImageRefused       its image is unknown or unusable here
    |   `-- AlgorithmMissing   its files cannot be had
    `-- ProviderError          ours to mend
        |-- Unavailable        a part did not answer: unknown, try again  (503)
        |-- DataMissing        a dataset's files cannot be had
        |-- EngineUnfit        an engine cannot give a run what its environment promises
        |-- NoSpace            the disk is full
        |-- StaleWrite         somebody else wrote first: read again
        `-- SettingsWrong      the owner's settings do not make sense

``code`` is stable and made for machines. The text is for people and never quotes a secret, a URL of data, or
anything that an algorithm wrote. ``hint`` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class CoveError(Exception):
    """Something went wrong in a way that Cove knows.

    Args:
        message: One sentence for people.
        hint: What to do about it; None where there is nothing to add.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConsumerError(CoveError):
    """The caller's request cannot be served as it is."""

    code = "bad_request"


class Invalid(ConsumerError):
    """Fields are missing or malformed.

    Args:
        errors: What is wrong with each dotted field, in words.
    """

    code = "validation_error"

    def __init__(self, errors: Mapping[str, Sequence[str]], *, hint: str | None = None) -> None:
        super().__init__("Validation error", hint=hint)
        self.errors = {field: list(texts) for field, texts in errors.items()}


class Refused(ConsumerError):
    """A rule says no.

    Args:
        field: The dotted field that is refused (``datasets[1].serviceId``).
        reason: The stable code that clients of the Provider API know (``order_invalid``).
    """

    code = "refused"

    def __init__(self, field: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{field}: {reason}", hint=hint)
        self.field = field
        self.reason = reason


class BadSignature(ConsumerError):
    """The signature does not belong to the address, or its nonce was used before."""

    code = "bad_signature"


class NotFound(ConsumerError):
    """There is no such thing, or it is not the caller's to see."""

    code = "not_found"


class Forbidden(ConsumerError):
    """The thing exists and the caller may not have it."""

    code = "forbidden"


class TooMany(ConsumerError):
    """The caller asks too often.

    Args:
        retry_after: Seconds to wait.
    """

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class RateLimited(TooMany):
    """The caller made more requests than the owner's limits allow."""

    code = "rate_limited"


class AlgorithmError(CoveError):
    """The algorithm cannot be run as it was published."""

    code = "algorithm_error"


class ImageRefused(AlgorithmError):
    """The algorithm's image is unknown or unusable here."""

    code = "image_refused"


class AlgorithmMissing(AlgorithmError):
    """The algorithm's files cannot be had, or are not those that were approved."""

    code = "algorithm_unavailable"


class ProviderError(CoveError):
    """Ours to mend."""

    code = "provider_error"


class Unavailable(ProviderError):
    """A part did not answer, so nothing is known: try again.

    Args:
        part: What did not answer, in words an operator knows (``chain 8996``).
    """

    code = "unavailable"

    def __init__(self, part: str, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or f"{part} does not answer", hint=hint)
        self.part = part


class DataMissing(ProviderError):
    """A file of a dataset cannot be had."""

    code = "data_unavailable"


class EngineUnfit(ProviderError):
    """An engine cannot give a run what its environment promises."""

    code = "engine_unfit"


class ImagePullFailed(ProviderError):
    """An image cannot be brought: its registry did not answer, however often it was asked."""

    code = "image_pull"


class NoSpace(ProviderError):
    """There is no room left on the provider's disk."""

    code = "no_space"


class StaleWrite(ProviderError):
    """Somebody else changed the record first."""

    code = "stale_write"


class SettingsWrong(ProviderError):
    """The owner's settings do not make sense."""

    code = "settings"
