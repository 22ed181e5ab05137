"""The events and calls of Ocean's contracts that Cove reads; every codec is made once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

_WORD: Final = 32
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")


class BadAnswer(Exception):
    """What the chain's node answered does not have the form that it should."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its name and its fields in the order of the contract, each (name, type, indexed)."""

    name: str
    fields: tuple[tuple[str, str, bool], ...]
    #: keccak of the signature, ``0x`` lower case.
    topic: str = field(init=False, default="")
    _indexed: tuple[tuple[str, str], ...] = field(init=False, default=(), repr=False)
    _plain: tuple[tuple[str, str], ...] = field(init=False, default=(), repr=False)

    def __post_init__(self) -> None:
        """Hash the signature once."""
        object.__setattr__(self, "topic", "0x" + keccak(self.signature.encode()).hex())
        for name, wanted in (("_indexed", True), ("_plain", False)):
            fields = tuple((name, kind) for name, kind, indexed in self.fields if indexed is wanted)
            object.__setattr__(self, name, fields)

    @property
    def signature(self) -> str:
        """The signature, ``Transfer(address,address,uint256)``."""
        return f"{self.name}({','.join(kind for _, kind, _ in self.fields)})"

    def read(self, log: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give the fields of a log, addresses checksummed; None when it is none of this event.

        A contract may emit this event's topic with whatever data it likes; such a log is no event.

        Args:
            log: As JSON-RPC gives it, ``topics`` and ``data`` already checked to be hex.
        """
        topics, data = log["topics"], log["data"]
        if not topics or topics[0].lower() != self.topic or len(topics) != len(self._indexed) + 1:
            return None
        try:
            found = _values(self._plain, bytes.fromhex(data[2:]))
            return found | _values(self._indexed, bytes.fromhex("".join(topic[2:] for topic in topics[1:])))
        except (DecodingError, ValueError, OverflowError):
            return None


def _values(fields: tuple[tuple[str, str], ...], data: bytes) -> dict[str, Any]:
    """Decode fields that stand one after the other.

    Fields of one word are read here, since a general codec took most of the time of reading a receipt.

    Raises:
        ValueError: The data is not of these fields; the codec has errors of its own.
    """
    if any(kind not in _WORDS for _, kind in fields):
        usual = _with_bytes(fields, data)
        if usual is not None:
            return usual
        values = decode([kind for _, kind in fields], data)
        return {
            name: checksum(value) if kind == "address" else value
            for (name, kind), value in zip(fields, values, strict=True)
        }
    if len(data) < _WORD * len(fields):
        raise ValueError("there are too few words")
    return {name: _WORDS[kind](data[_WORD * place : _WORD * (place + 1)]) for place, (name, kind) in enumerate(fields)}


def _with_bytes(fields: tuple[tuple[str, str], ...], data: bytes) -> dict[str, Any] | None:
    """Decode words and one ``bytes`` in the one form that contracts write; None for any other, which the codec reads.

    That form has the bytes right behind the words, zeros behind them to the end of a word, and nothing more.

    Raises:
        ValueError: A word is not of its field.
    """
    end = _WORD * (len(fields) + 1)
    if len(data) < end or [kind for _, kind in fields if kind not in _WORDS] != ["bytes"]:
        return None
    length = int.from_bytes(data[end - _WORD : end])
    if len(data) != end + -(-length // _WORD) * _WORD or any(data[end + length :]):
        return None
    found: dict[str, Any] = {}
    for place, (name, kind) in enumerate(fields):
        word = data[_WORD * place : _WORD * (place + 1)]
        if kind != "bytes":
            found[name] = _WORDS[kind](word)
        elif int.from_bytes(word) == end - _WORD:
            found[name] = data[end : end + length]
        else:
            return None
    return found


def _address_of(word: bytes) -> str:
    if any(word[:12]):
        raise ValueError("an address was expected")
    return checksum("0x" + word[12:].hex())


def _byte_of(word: bytes) -> int:
    if any(word[:31]):
        raise ValueError("a number below 256 was expected")
    return word[31]


_WORDS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "address": _address_of,
    "uint256": int.from_bytes,
    "uint8": _byte_of,
    "bytes32": bytes,
}


ORDER_STARTED: Final = Event(
    "OrderStarted",
    (
        ("consumer", "address", True),
        ("payer", "address", False),
        ("amount", "uint256", False),
        ("serviceIndex", "uint256", False),
        ("timestamp", "uint256", False),
        ("publishMarketAddress", "address", True),
        ("blockNumber", "uint256", False),
    ),
)
ORDER_REUSED: Final = Event(
    "OrderReused",
    (
        ("orderTxId", "bytes32", False),
        ("caller", "address", False),
        ("timestamp", "uint256", False),
        ("number", "uint256", False),
    ),
)
PROVIDER_FEE: Final = Event(
    "ProviderFee",
    (
        ("providerFeeAddress", "address", True),
        ("providerFeeToken", "address", True),
        ("providerFeeAmount", "uint256", False),
        ("providerData", "bytes", False),
        ("v", "uint8", False),
        ("r", "bytes32", False),
        ("s", "bytes32", False),
        ("validUntil", "uint256", False),
    ),
)
TRANSFER: Final = Event("Transfer", (("from", "address", True), ("to", "address", True), ("value", "uint256", False)))
_METADATA: Final = (
    ("state", "uint8", False),
    ("decryptorUrl", "string", False),
    ("flags", "bytes", False),
    ("data", "bytes", False),
    ("metaDataHash", "bytes32", False),
    ("timestamp", "uint256", False),
    ("blockNumber", "uint256", False),
)
METADATA_CREATED: Final = Event("MetadataCreated", (("createdBy", "address", True), *_METADATA))
METADATA_UPDATED: Final = Event("MetadataUpdated", (("updatedBy", "address", True), *_METADATA))
METADATA_STATE: Final = Event(
    "MetadataState",
    (
        ("updatedBy", "address", True),
        ("state", "uint8", False),
        ("timestamp", "uint256", False),
        ("blockNumber", "uint256", False),
    ),
)
NFT_TRANSFER: Final = Event(
    "Transfer", (("from", "address", True), ("to", "address", True), ("tokenId", "uint256", True))
)
NFT_CREATED: Final = Event(
    "NFTCreated",
    (
        ("newTokenAddress", "address", False),
        ("templateAddress", "address", True),
        ("tokenName", "string", False),
        ("admin", "address", True),
        ("symbol", "string", False),
        ("tokenURI", "string", False),
        ("transferable", "bool", False),
        ("creator", "address", True),
    ),
)
TOKEN_CREATED: Final = Event(
    "TokenCreated",
    (
        ("newTokenAddress", "address", True),
        ("templateAddress", "address", True),
        ("name", "string", False),
        ("symbol", "string", False),
        ("cap", "uint256", False),
        ("creator", "address", False),
    ),
)
NEW_FIXED_RATE: Final = Event(
    "NewFixedRate",
    (
        ("exchangeId", "bytes32", False),
        ("owner", "address", True),
        ("exchangeContract", "address", False),
        ("baseToken", "address", True),
    ),
)
NEW_DISPENSER: Final = Event("NewDispenser", (("dispenserContract", "address", False),))
_EXCHANGE: Final = ("exchangeId", "bytes32", True)
_EXCHANGE_OWNER: Final = ("exchangeOwner", "address", True)
EXCHANGE_CREATED: Final = Event(
    "ExchangeCreated",
    (
        _EXCHANGE,
        ("baseToken", "address", True),
        ("datatoken", "address", True),
        ("exchangeOwner", "address", False),
        ("fixedRate", "uint256", False),
    ),
)
EXCHANGE_RATE_CHANGED: Final = Event("ExchangeRateChanged", (_EXCHANGE, _EXCHANGE_OWNER, ("newRate", "uint256", False)))
EXCHANGE_ACTIVATED: Final = Event("ExchangeActivated", (_EXCHANGE, _EXCHANGE_OWNER))
EXCHANGE_DEACTIVATED: Final = Event("ExchangeDeactivated", (_EXCHANGE, _EXCHANGE_OWNER))
DISPENSER_ACTIVATED: Final = Event("DispenserActivated", (("datatokenAddress", "address", True),))
DISPENSER_DEACTIVATED: Final = Event("DispenserDeactivated", (("datatokenAddress", "address", True),))


@dataclass(frozen=True, slots=True)
class Call:
    """A function that is asked, never sent."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    selector: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        """Hash the signature once."""
        object.__setattr__(self, "selector", keccak(f"{self.name}({','.join(self.inputs)})".encode())[:4])

    def data(self, *arguments: object) -> str:
        """Give the call data, ``0x`` hex."""
        return "0x" + (self.selector + encode(self.inputs, arguments)).hex()

    def read(self, result: bytes) -> tuple[Any, ...] | None:
        """Give what the function returned; None when this is no answer of it."""
        try:
            return tuple(decode(self.outputs, result))
        except (DecodingError, ValueError, OverflowError):
            return None


ERC721_LIST: Final = Call("erc721List", ("address",), ("address",))
OWNER_OF: Final = Call("ownerOf", ("uint256",), ("address",))
GET_METADATA: Final = Call("getMetaData", (), ("string", "string", "uint8", "bool"))
IS_DEPLOYED: Final = Call("isDeployed", ("address",), ("bool",))
DECIMALS: Final = Call("decimals", (), ("uint8",))
IS_VALID_SIGNATURE: Final = Call("isValidSignature", ("bytes32", "bytes"), ("bytes4",))


@lru_cache(maxsize=8192)
def checksum(address: str) -> str:
    """Give an address with the capitals of EIP-55.

    Raises:
        BadAnswer: It is none.
    """
    try:
        return str(to_checksum_address(address))
    except (ValueError, TypeError):
        raise BadAnswer("an address was expected") from None


def quantity(value: object) -> int:
    """Read a JSON-RPC quantity (``0x1f``) of at most 256 bits.

    Raises:
        BadAnswer: It is none.
    """
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise BadAnswer("a quantity was expected")


def raw(value: object, length: int | None = None) -> bytes:
    """Read JSON-RPC data (``0x`` and an even number of hex digits).

    Args:
        value: As it came.
        length: Bytes that it must have; None takes any.

    Raises:
        BadAnswer: It is none.
    """
    if isinstance(value, str) and value.startswith("0x"):
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            found = None
        if found is not None and length in {None, len(found)}:
            return found
    raise BadAnswer("hex data was expected")


def record(value: object) -> Mapping[str, Any]:
    """Give a JSON object.

    Raises:
        BadAnswer: It is none.
    """
    if not isinstance(value, dict):
        raise BadAnswer("an object was expected")
    return value


def logs(value: object) -> Sequence[Mapping[str, Any]]:
    """Give a list of logs whose topics and data are hex.

    Raises:
        BadAnswer: It is none.
    """
    if not isinstance(value, list):
        raise BadAnswer("a list of logs was expected")
    for entry in value:
        topics = record(entry).get("topics")
        if not isinstance(topics, list):
            raise BadAnswer("a log without topics")
        for topic in topics:
            raw(topic, _WORD)
        raw(entry.get("data"))
        raw(entry.get("address"), 20)
        quantity(entry.get("logIndex"))
    return value
