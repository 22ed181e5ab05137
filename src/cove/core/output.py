"""What a consumer wants done with released results (``output`` of a start), beside keeping them here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cove.core.errors import Refused
from cove.core.files import S3File

FIELD: Final = "output"
STORAGE_FIELD: Final = f"{FIELD}.remoteStorage"
ASSET_FIELD: Final = f"{FIELD}.publishOutput"


@dataclass(frozen=True, slots=True)
class UrlPlace:
    """A server of the consumer's that takes files by HTTP. The URL and the headers are secrets."""

    url: str = field(repr=False)
    method: Literal["PUT", "POST"] = "PUT"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Storage:
    """The consumer's own storage: a folder for each released file, or one object for the archive of the outputs."""

    #: Of ``S3File`` the object's key is the place.
    place: UrlPlace | S3File
    #: Public key of secp256k1, hex without ``0x``, that everything is encrypted to; empty: nothing is encrypted.
    public_key: str = ""

    @property
    def is_folder(self) -> bool:
        """Say whether each file is sent under its own name: the place ends with ``/``."""
        match self.place:
            case UrlPlace(url):
                return url.partition("#")[0].partition("?")[0].endswith("/")
            case S3File():
                return self.place.object_key.endswith("/")


@dataclass(frozen=True, slots=True)
class AssetWish:
    """The released results as a new asset, which will be the consumer's."""

    #: JSON object, checked: what the consumer says of the asset, in the members of a DDO's ``metadata``.
    metadata: str
    #: Whether the algorithm's log, where it is released, is one of the asset's files.
    with_log: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """What is done with a job's released results."""

    #: None: they are sent nowhere.
    storage: Storage | None = None
    #: None: they are not published.
    asset: AssetWish | None = None


@dataclass(frozen=True, slots=True)
class OutputRules:
    """What the provider's owner allows."""

    #: Whether results may be sent to consumers' own storage.
    sending: bool = False
    #: Whether results may be published as assets, which the provider pays for.
    publishing: bool = False
    #: Accounts whose results alone may be published, lower case; empty: everybody's.
    publishers: frozenset[str] = frozenset()


def check_output(rules: OutputRules, output: Output | None, consumer: str, *, mock: bool = False) -> None:
    """Return when the provider's owner allows what is wanted.

    Args:
        rules: The owner's.
        output: What is wanted; None for nothing.
        consumer: Whose job it is; in any case.
        mock: Whether samples stand for the data: such results are nothing to pay for, or to hand on as real ones.

    Raises:
        Refused: ``output.remoteStorage: sending_not_allowed``, ``output.publishOutput: publishing_not_allowed``,
            ``output: mock_output``.
    """
    if output is None:
        return
    if mock:
        raise Refused("output", "mock_output", hint="The results of a mock run stay here: leave output out.")
    if output.asset is not None and not (
        rules.publishing and (not rules.publishers or consumer.lower() in rules.publishers)
    ):
        whose = "for this account" if rules.publishing else "as assets"
        raise Refused(
            ASSET_FIELD,
            "publishing_not_allowed",
            hint=f"This provider publishes no results {whose}: leave output.metadata out, and fetch them with "
            "computeResult. Its owner allows it, and pays for it, with publishing.allowed = true in the settings.",
        )
    if output.storage is not None and not rules.sending:
        raise Refused(
            STORAGE_FIELD,
            "sending_not_allowed",
            hint="This provider sends results nowhere: leave output.remoteStorage out, and fetch them with "
            "computeResult. Its owner allows sending with sending.allowed = true in the settings.",
        )
