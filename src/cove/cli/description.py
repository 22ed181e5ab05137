"""Reads the description of an asset that is to be published: TOML, whose mistakes are told with file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cove.client.market import AssetDraft, ServiceDraft
from cove.client.publishing import Price
from cove.client.trusting import EVERYBODY, NOBODY
from cove.core.container import check_container
from cove.core.errors import CoveError, Invalid, Refused
from cove.core.filelist import parse_file

_MAX_BYTES: Final = 1 << 20
_DID: Final = r"^(did:op:[0-9a-fA-F]{64}|\*)$"
_ADDRESS: Final = r"^0x[0-9a-fA-F]{40}$"
_TABLE: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?")
_KEY: Final = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')((?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")

Approve = Callable[[str], Mapping[str, str]]
"""Gives the entry that trusts an algorithm, by its DID."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParameterPart(_Part):
    """What consumers are asked to give."""

    name: str = Field(min_length=1)
    type: Literal["text", "number", "boolean", "select"] = "text"
    label: str = ""
    description: str = ""
    required: bool = False
    default: str | int | float | bool | None = None
    options: tuple[str, ...] = ()


class ContainerPart(_Part):
    """What runs an algorithm."""

    image: str = Field(min_length=1)
    tag: str = ""
    entrypoint: str = "python3 $ALGO"
    #: ``sha256:`` and the image's digest.
    checksum: str


class AlgorithmPart(_Part):
    """The algorithm section of its metadata."""

    language: str = ""
    version: str = "1.0"
    container: ContainerPart
    parameters: tuple[ParameterPart, ...] = ()


class ServicePart(_Part):
    """One way to use the asset."""

    id: str = ""
    type: Literal["access", "compute"]
    name: str = ""
    description: str = ""
    files: tuple[dict[str, Any], ...] = Field(min_length=1)
    #: Seconds that an order is good for; 0 for ever.
    timeout: int = Field(default=86_400, ge=0)
    allow_raw_algorithm: bool = False
    allow_network_access: bool = False
    #: DIDs, approved as they are when this is published; ``*`` for every published algorithm.
    trusted_algorithms: tuple[str, ...] | None = None
    trusted_publishers: tuple[str, ...] = ()
    parameters: tuple[ParameterPart, ...] = ()


class PricePart(_Part):
    """What sells it on chain."""

    kind: Literal["none", "free", "fixed"]
    amount: Decimal = Decimal(0)
    token: str = Field(default="", pattern=r"^(0x[0-9a-fA-F]{40})?$")


class Description(_Part):
    """The whole file."""

    name: str = Field(min_length=4)
    description: str = Field(min_length=10)
    author: str = Field(min_length=1)
    license: str = Field(min_length=1)
    tags: tuple[str, ...] = ()
    #: Base URL of the provider that keeps the files; empty: that of the settings.
    provider: str = Field(default="", pattern=r"^(https?://\S+)?$")
    services: tuple[ServicePart, ...] = Field(min_length=1)
    algorithm: AlgorithmPart | None = None
    price: PricePart = PricePart(kind="none")
    #: Accounts that alone may use it; empty: everybody who is not denied.
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class DescriptionWrong(CoveError):
    """A description makes no sense; the text names file, line and field."""

    code = "description_wrong"


class Described:
    """A description that was read.

    Args:
        path: Its file.
        kind: What it describes.

    Raises:
        DescriptionWrong: The file cannot be read, or something in it is wrong.
    """

    def __init__(self, path: Path, kind: Literal["dataset", "algorithm"]) -> None:
        self.path = path
        self._kind = kind
        text = _text(path)
        self._lines = lines_of(text)
        self.body = self._parsed(text)
        self._check()

    @property
    def folder(self) -> Path:
        """Give the folder that its file is in."""
        return self.path.absolute().parent

    @property
    def price(self) -> Price:
        """Give what sells it."""
        given = self.body.price
        return Price(given.kind, given.amount, given.token)

    @property
    def trusted(self) -> frozenset[str]:
        """Give the DIDs of the algorithms that must be approved."""
        named = {did for service in self.body.services for did in service.trusted_algorithms or ()}
        return frozenset(named - {EVERYBODY})

    def draft(self, provider: str, approvals: Mapping[str, Mapping[str, str]]) -> AssetDraft:
        """Give what is to be published.

        Args:
            provider: Base URL where the description names none.
            approvals: The entry for each of :attr:`trusted`.
        """
        body = self.body
        endpoint = (body.provider or provider).rstrip("/")
        return AssetDraft(
            name=body.name,
            services=[self._service(part, endpoint, approvals) for part in body.services],
            type=self._kind,
            description=body.description,
            author=body.author,
            license=body.license,
            tags=body.tags,
            algorithm=None if body.algorithm is None else _algorithm(body.algorithm),
            credentials=_credentials(body),
        )

    def wrong(self, place: tuple[int | str, ...], text: str) -> DescriptionWrong:
        """Give the error that says what is wrong where."""
        shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        line = next((self._lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self._lines), 1)
        return DescriptionWrong(f"{self.path}, line {line}: {shown or 'the file'}: {text}.", hint=_HINT)

    def _service(self, part: ServicePart, endpoint: str, approvals: Mapping[str, Mapping[str, str]]) -> ServiceDraft:
        compute = None
        if part.type == "compute":
            trusted = [approvals[did] for did in part.trusted_algorithms or () if did != EVERYBODY]
            open_to_all = EVERYBODY in (part.trusted_algorithms or ()) or part.trusted_publishers
            compute = {
                "allowRawAlgorithm": part.allow_raw_algorithm,
                "allowNetworkAccess": part.allow_network_access,
                "publisherTrustedAlgorithmPublishers": list(part.trusted_publishers),
                "publisherTrustedAlgorithms": trusted or ([] if open_to_all else [NOBODY]),
            }
        return ServiceDraft(
            type=part.type,
            files=[_plain(file) for file in part.files],
            endpoint=endpoint,
            timeout=part.timeout,
            id=part.id,
            compute=compute,
            parameters=[_parameter(entry) for entry in part.parameters],
            name=part.name,
            description=part.description,
        )

    def _parsed(self, text: str) -> Description:
        try:
            given = tomllib.loads(text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as problem:
            raise DescriptionWrong(f"{self.path} is not valid TOML: {problem}.", hint=_HINT) from None
        try:
            return Description.model_validate(given)
        except ValidationError as problem:
            error = problem.errors(include_url=False, include_input=False, include_context=False)[0]
            text = "there is no such field" if error["type"] == "extra_forbidden" else error["msg"]
            place = tuple(part for part in error["loc"] if part not in {"str", "int", "float", "bool"})
            raise self.wrong(place, text.removeprefix("Value error, ").removeprefix("Input ")) from None

    def _check(self) -> None:
        body = self.body
        if (body.algorithm is None) is (self._kind == "algorithm"):
            text = "is missing" if self._kind == "algorithm" else "a dataset has none; use cove publish algorithm"
            raise self.wrong(("algorithm",), text)
        if body.price.kind == "fixed" and (body.price.amount <= 0 or not body.price.token):
            raise self.wrong(("price",), "a fixed price needs an amount above 0 and a token")
        if body.price.kind != "fixed" and (body.price.amount or body.price.token):
            raise self.wrong(("price",), 'an amount and a token go with kind = "fixed"')
        ids = [part.id or str(number) for number, part in enumerate(body.services)]
        for number, part in enumerate(body.services):
            if ids.index(ids[number]) != number:
                raise self.wrong(("services", number, "id"), "each id may stand once")
            self._check_service(number, part)
        for name, accounts in (("allow", body.allow), ("deny", body.deny)):
            self._match((name,), accounts, _ADDRESS, "0x and 40 hex digits")
        if body.algorithm is not None:
            self._check_container(body.algorithm.container)

    def _check_service(self, number: int, part: ServicePart) -> None:
        place = ("services", number)
        for position, file in enumerate(part.files):
            try:
                parse_file(_plain(file), "")
            except Invalid as problem:
                field, texts = next(iter(problem.errors.items()))
                names = [name for name in field.split(".") if name]
                raise self.wrong((*place, "files", position, *names), " ".join(texts).rstrip(".")) from None
        self._match(
            (*place, "trusted_algorithms"), part.trusted_algorithms or (), _DID, "did:op: and 64 hex digits, or *"
        )
        self._match((*place, "trusted_publishers"), part.trusted_publishers, _ADDRESS, "0x and 40 hex digits")
        if part.type == "access" and (part.trusted_algorithms is not None or part.trusted_publishers):
            raise self.wrong((*place, "trusted_algorithms"), "only a compute service trusts algorithms")
        decided = part.trusted_algorithms is not None or part.trusted_publishers or part.allow_raw_algorithm
        if part.type == "compute" and not decided:
            raise self.wrong(
                place,
                'say whom it trusts: trusted_algorithms = ["did:op:.."], ["*"] for every published one, [] for none',
            )

    def _check_container(self, part: ContainerPart) -> None:
        try:
            check_container(part.entrypoint, part.image, part.tag, part.checksum)
        except Refused as problem:
            field = {"checksum_prefix": "checksum", "image_invalid": "image", "tag_invalid": "tag"}
            name = field.get(problem.reason, "entrypoint")
            raise self.wrong(("algorithm", "container", name), (problem.hint or problem.reason).rstrip(".")) from None

    def _match(self, place: tuple[int | str, ...], values: tuple[str, ...], pattern: str, wanted: str) -> None:
        for value in values:
            if re.fullmatch(pattern, value) is None:
                raise self.wrong(place, f"should hold {wanted}")


_HINT: Final = "docs/howto/publish.md describes every field."


def lines_of(text: str) -> dict[tuple[int | str, ...], int]:
    """Say on which line each table and each key of a TOML text stands; what is inside of a value has its key's line."""
    found: dict[tuple[int | str, ...], int] = {}
    counts: dict[tuple[int | str, ...], int] = {}
    table: tuple[int | str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.fullmatch(line):
            path = _path([part.strip() for part in header[2].split(".")], counts)
            if header[1] == "[[":
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            names = [key[1].strip("\"'"), *[part.strip() for part in key[2].split(".") if part.strip()]]
            found.setdefault((*table, *names), number)
            found.setdefault((*table, names[0]), number)
    return found


def _path(names: list[str], counts: Mapping[tuple[int | str, ...], int]) -> tuple[int | str, ...]:
    """Give a table's place, each list of tables before it with the number of its last entry."""
    place: tuple[int | str, ...] = ()
    for position, name in enumerate(names):
        place = (*place, name.strip("\"'"))
        if place in counts and position < len(names) - 1:
            place = (*place, counts[place])
    return place


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise DescriptionWrong(f"{path} has more than {_MAX_BYTES} bytes.")
        return content.decode("utf-8")
    except OSError as problem:
        raise DescriptionWrong(f"{path} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise DescriptionWrong(f"{path} is no UTF-8 text.") from None


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of TOML
    """Give a value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return float(value) if isinstance(value, Decimal) else value


def _parameter(part: ParameterPart) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": part.name,
        "type": part.type,
        "label": part.label or part.name,
        "description": part.description,
        "required": part.required,
    }
    if part.default is not None:
        given["default"] = part.default
    if part.type == "select":
        given["options"] = [{option: option} for option in part.options]
    return given


def _algorithm(part: AlgorithmPart) -> dict[str, Any]:
    container = part.container.model_dump()
    given: dict[str, Any] = {"language": part.language, "version": part.version, "container": container}
    if part.parameters:
        given["consumerParameters"] = [_parameter(entry) for entry in part.parameters]
    return given


def _credentials(body: Description) -> dict[str, Any] | None:
    lists = {"allow": body.allow, "deny": body.deny}
    found = {name: [{"type": "address", "values": list(accounts)}] for name, accounts in lists.items() if accounts}
    return found or None
