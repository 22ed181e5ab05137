"""One function of a contract that is asked, never sent, as JSON ABI describes it (Solidity's ABI specification)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from cove.core import json_form

MAX_PARAMETERS: Final = 64
"""Inputs, outputs, or members of a tuple, each."""
MAX_DEPTH: Final = 4
"""Tuples within tuples, and dimensions of an array, each."""

Base = Literal["int", "bool", "address", "string", "bytes", "tuple"]

_TYPE: Final = re.compile(r"([a-z]{3,8})([0-9]{0,3})((?:\[[0-9]{0,4}\]){0,4})", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}", re.ASCII)
_READING: Final = frozenset({"view", "pure"})
_LONGEST_BYTES: Final = 32
_LONGEST_INT: Final = 256


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a function takes or gives."""

    #: Its name; where it has none, its position (``0``, ``1``).
    name: str = field(repr=False)
    base: Base = field(repr=False)
    #: Its canonical type as the selector is made of: ``uint256``, ``(address,bytes32[])[2]``.
    type: str = field(repr=False)
    #: Lengths of the dimensions, innermost first; None for any length.
    dimensions: tuple[int | None, ...] = field(default=(), repr=False)
    #: Members of a tuple.
    members: tuple[Parameter, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ContractFunction:
    """A function that changes nothing."""

    name: str = field(repr=False)
    inputs: tuple[Parameter, ...] = field(repr=False)
    outputs: tuple[Parameter, ...] = field(repr=False)

    @property
    def signature(self) -> str:
        """Give what the selector is the hash of: ``balanceOf(address)``."""
        return f"{self.name}({','.join(one.type for one in self.inputs)})"


def parse_function(value: object, field: str) -> ContractFunction:
    """Read the ABI item of one function.

    Args:
        value: As JSON gives it.
        field: Dotted path of it, for errors.

    Raises:
        Invalid: It is no function, or one that could change the chain, or has a type that is not read here.
    """
    body = json_form.mapping(value, field)
    if json_form.optional_text(body.get("type"), f"{field}.type") not in {"", "function"}:
        raise json_form.wrong(f"{field}.type", "function")
    name = json_form.text(body.get("name"), f"{field}.name")
    if _NAME.fullmatch(name) is None:
        raise json_form.wrong(f"{field}.name", "the name of a function")
    if json_form.optional_text(body.get("stateMutability"), f"{field}.stateMutability") not in _READING:
        raise json_form.wrong(
            f"{field}.stateMutability", "view or pure: a function that changes the chain is not called"
        )
    outputs = _parameters(body.get("outputs"), f"{field}.outputs", 0)
    if not outputs:
        raise json_form.wrong(f"{field}.outputs", "a list of at least one value that the function gives")
    return ContractFunction(name, _parameters(body.get("inputs"), f"{field}.inputs", 0), outputs)


def _parameters(value: object, field: str, depth: int) -> tuple[Parameter, ...]:
    if depth > MAX_DEPTH:
        raise json_form.wrong(field, f"at most {MAX_DEPTH} tuples deep")
    entries = json_form.sequence([] if value is None else value, field, most=MAX_PARAMETERS)
    return tuple(
        _parameter(json_form.mapping(entry, f"{field}[{position}]"), f"{field}[{position}]", position, depth)
        for position, entry in enumerate(entries)
    )


def _parameter(body: Mapping[str, object], field: str, position: int, depth: int) -> Parameter:
    name = json_form.optional_text(body.get("name"), f"{field}.name") or str(position)
    match = _TYPE.fullmatch(json_form.text(body.get("type"), f"{field}.type"))
    if match is None:
        raise json_form.wrong(f"{field}.type", "a type of Solidity's ABI")
    word, bits, brackets = match.groups()
    sizes = [size[:-1] for size in brackets.split("[")[1:]]
    if any(size and int(size) == 0 for size in sizes):
        raise json_form.wrong(f"{field}.type", "an array that can hold something")
    dimensions = tuple(int(size) if size else None for size in sizes)
    written = "".join(f"[{'' if size is None else size}]" for size in dimensions)
    if word == "tuple" and not bits:
        members = _parameters(body.get("components"), f"{field}.components", depth + 1)
        if not members:
            raise json_form.wrong(f"{field}.components", "a list of a tuple's members")
        return Parameter(name, "tuple", f"({','.join(one.type for one in members)}){written}", dimensions, members)
    base, canonical = _elementary(word, bits, f"{field}.type")
    return Parameter(name, base, canonical + written, dimensions)


def _elementary(word: str, bits: str, field: str) -> tuple[Base, str]:
    """Give the kind of an elementary type and its canonical name."""
    size = int(bits or "0")
    plain = str(size) == bits
    match word:
        case "int" | "uint" if not bits:
            return "int", f"{word}256"
        case "int" | "uint" if plain and size % 8 == 0 and 0 < size <= _LONGEST_INT:
            return "int", f"{word}{size}"
        case "bytes" if not bits or (plain and 0 < size <= _LONGEST_BYTES):
            return "bytes", f"bytes{bits}"
        case "bool" if not bits:
            return "bool", word
        case "address" if not bits:
            return "address", word
        case "string" if not bits:
            return "string", word
        case _:
            raise json_form.wrong(field, "int, uint, bool, address, string, bytes, tuple, or an array of these")
