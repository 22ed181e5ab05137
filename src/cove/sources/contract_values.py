"""Encodes what a contract's function takes and decodes what it gives, from JSON and to JSON.

Coders are put together here for each call: the registry of ``eth_abi`` keeps every type that it was ever asked for,
and the types come from whoever writes a file object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from eth_abi import decoding, encoding
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import registry
from eth_utils.address import to_checksum_address

from cove.core.contractcall import Parameter
from cove.core.errors import DataMissing

#: The constructors of ``eth_abi`` have no types.
_ENCODING: Final[Any] = encoding
_DECODING: Final[Any] = decoding


def encoded(inputs: Sequence[Parameter], userdata: str) -> bytes:
    """Give a function's arguments in the contract's form.

    Whole numbers may be texts, decimal or ``0x``; bytes are ``0x`` hex; tuples are lists, or objects by their members'
    names.

    Args:
        inputs: What the function takes.
        userdata: JSON object of the arguments by their names.

    Raises:
        DataMissing: One is missing, or does not fit its type.
    """
    try:
        given = json.loads(userdata)
        arguments = [_as_argument(one, one.dimensions, given[one.name]) for one in inputs]
        encoder = _ENCODING.TupleEncoder(encoders=[_encoder(one) for one in inputs])
        return bytes(encoder(arguments))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, EncodingError):
        raise DataMissing(
            "An argument of the contract's function is missing or of another type.",
            hint="userdata gives the function's arguments by their names.",
        ) from None


def decoded(outputs: Sequence[Parameter], result: bytes) -> list[object]:
    """Give what a function returned as JSON has it, a value for each output.

    Whole numbers stay numbers of any size, bytes become ``0x`` hex, addresses have the capitals of EIP-55, tuples and
    arrays become lists.

    Raises:
        DataMissing: The bytes are no such values.
    """
    # The decoder reads a tuple twice, first to check its pointers, and those within it twice each time.
    may_read = len(result) * 2 ** (1 + _tuples_deep(outputs))
    try:
        decoder = _DECODING.TupleDecoder(decoders=[_decoder(one) for one in outputs])
        values = decoder(_CountedStream(result, may_read))
    except (DecodingError, ValueError, OverflowError):
        raise DataMissing("The contract's result is not what its function's description says.") from None
    return [_as_json(one, one.dimensions, value) for one, value in zip(outputs, values, strict=True)]


class _CountedStream(decoding.ContextFramesBytesIO):
    """What is decoded, of which so many bytes may be read.

    Data may point to one place from many others, and so describe a value far larger than itself.
    """

    def __init__(self, data: bytes, may_read: int) -> None:
        super().__init__(data)  # type: ignore[no-untyped-call]
        self._may_read = may_read

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self._may_read -= len(found)
        if self._may_read < 0:
            raise DecodingError
        return found


def _tuples_deep(parameters: Sequence[Parameter]) -> int:
    return max((1 + _tuples_deep(one.members) for one in parameters if one.members), default=0)


def _encoder(parameter: Parameter) -> Callable[[Any], bytes]:
    found: Any
    if parameter.base == "tuple":
        found = _ENCODING.TupleEncoder(encoders=[_encoder(one) for one in parameter.members])
    else:
        found = registry.get_encoder(_elementary(parameter))
    for size in parameter.dimensions:
        if size is None:
            found = _ENCODING.DynamicArrayEncoder(item_encoder=found)
        else:
            found = _ENCODING.SizedArrayEncoder(item_encoder=found, array_size=size)
    made: Callable[[Any], bytes] = found
    return made


def _decoder(parameter: Parameter) -> Callable[[Any], Any]:
    found: Any
    if parameter.base == "tuple":
        found = _DECODING.TupleDecoder(decoders=[_decoder(one) for one in parameter.members])
    else:
        found = registry.get_decoder(_elementary(parameter))
    for size in parameter.dimensions:
        if size is None:
            found = _DECODING.DynamicArrayDecoder(item_decoder=found)
        else:
            found = _DECODING.SizedArrayDecoder(item_decoder=found, array_size=size)
    made: Callable[[Any], Any] = found
    return made


def _elementary(parameter: Parameter) -> str:
    return parameter.type.partition("[")[0]


def _as_argument(parameter: Parameter, dimensions: tuple[int | None, ...], value: Any) -> object:  # noqa: ANN401 - JSON
    """Give what ``eth_abi`` takes for a JSON value. It checks lengths, sizes and signs itself.

    Raises:
        KeyError, TypeError, ValueError: The value is of another type.
    """
    if dimensions:
        if not isinstance(value, list):
            raise TypeError
        return [_as_argument(parameter, dimensions[:-1], one) for one in value]
    match parameter.base, value:
        case "tuple", list():
            members = zip(parameter.members, value, strict=True)
            return tuple(_as_argument(member, member.dimensions, one) for member, one in members)
        case "tuple", Mapping():
            return tuple(_as_argument(one, one.dimensions, value[one.name]) for one in parameter.members)
        case "int", str():
            return int(value, 0)  # numbers of 256 bits are written as texts, decimal or 0x, by what counts in doubles
        case "bytes", str() if value.startswith("0x"):
            return bytes.fromhex(value[2:])
        case ("int", int()) | ("bool", bool()) | ("string" | "address", str()):
            return value
        case _:
            raise TypeError


def _as_json(parameter: Parameter, dimensions: tuple[int | None, ...], value: Any) -> object:  # noqa: ANN401 - decoded
    if dimensions:
        return [_as_json(parameter, dimensions[:-1], one) for one in value]
    match parameter.base:
        case "tuple":
            members = zip(parameter.members, value, strict=True)
            return [_as_json(member, member.dimensions, one) for member, one in members]
        case "bytes":
            return "0x" + value.hex()
        case "address":
            return to_checksum_address(value)
        case "int" | "bool" | "string":
            result: object = value
            return result
