"""Reads what a consumer wants done with results. Nothing of it is ever quoted: URLs, headers and keys are secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, Literal, cast

from cove.core import json_form
from cove.core.errors import Invalid
from cove.core.filelist import parse_file
from cove.core.files import S3File, UrlFile
from cove.core.output import ASSET_FIELD, FIELD, STORAGE_FIELD, AssetWish, Output, Storage, UrlPlace
from cove.core.shapes import errors_of

_ENCRYPTION: Final = f"{FIELD}.encryption"
_METHODS: Final = ("PUT", "POST")
_PUBLIC_KEY: Final = re.compile(r"(?:0x)?((?:04)?[0-9a-fA-F]{128}|0[23][0-9a-fA-F]{64})", re.ASCII)
_COORDINATES: Final = 128
_METADATA: Final = f"{FIELD}.metadata"
_INFORMATION: Final = "additionalInformation"
PROVENANCE: Final = "provenance"
"""Member of an asset's ``additionalInformation`` that says what its files are made of."""
_LENGTHS: Final = {"name": 4, "description": 10, "author": 1, "license": 1}
_KNOWN: Final = frozenset(
    {*_LENGTHS, "tags", "categories", "links", "copyrightHolder", "contentLanguage", _INFORMATION}
)
_OURS: Final = frozenset({"type", "created", "updated"})
_MOST_METADATA: Final = 16 << 10
"""Each character is paid for on chain."""


def parse_output(value: Mapping[str, object]) -> Output | None:
    """Read an ``output`` in clear; None where nothing is wanted beyond keeping the results here.

    Members that are unknown are passed over: clients in the field send many that mean nothing here.

    Raises:
        Invalid: A part of it is malformed, under its dotted path.
    """
    storage, asset = _storage(value), _asset(value)
    return None if storage is None and asset is None else Output(storage, asset)


def _storage(value: Mapping[str, object]) -> Storage | None:
    given = value.get("remoteStorage")
    if given is None:
        if value.get("encryption") is not None:
            raise Invalid(
                {_ENCRYPTION: ["It goes with output.remoteStorage: results are encrypted when they are sent."]}
            )
        return None
    place = _place(json_form.mapping(given, STORAGE_FIELD))
    return Storage(place, _public_key(value.get("encryption")))


def _asset(value: Mapping[str, object]) -> AssetWish | None:
    """Read the wish for an asset, which is one only with its metadata: market front ends send ``publishOutput`` always.

    Its members are those of a DDO; what the service itself says there is passed over, and what nobody knows is refused.
    """
    if value.get("metadata") is None or not json_form.flag(value.get("publishOutput"), ASSET_FIELD):
        return None
    metadata = json_form.mapping(value["metadata"], _METADATA)
    for name in metadata:
        if name not in _KNOWN | _OURS:
            raise Invalid({f"{_METADATA}.{name[:100]}": ["There is no such member of an asset's metadata."]})
    if metadata.get("type", "dataset") != "dataset":
        raise json_form.wrong(f"{_METADATA}.type", "dataset, or left out")
    for name, least in _LENGTHS.items():
        if len(json_form.optional_text(metadata.get(name), f"{_METADATA}.{name}").strip()) < least:
            raise json_form.wrong(f"{_METADATA}.{name}", f"a text of at least {least} characters")
    kept = {name: part for name, part in metadata.items() if name in _KNOWN and part is not None}
    _check(kept)
    text = json.dumps(kept, default=float)
    if len(text) > _MOST_METADATA:
        raise json_form.wrong(_METADATA, f"an object of at most {_MOST_METADATA} characters as JSON")
    return AssetWish(text, with_log=json_form.flag(value.get("publishAlgorithmLog"), f"{FIELD}.publishAlgorithmLog"))


def _check(metadata: Mapping[str, object]) -> None:
    information = json_form.optional_mapping(metadata.get(_INFORMATION), f"{_METADATA}.{_INFORMATION}")
    if PROVENANCE in information:
        raise Invalid({f"{_METADATA}.{_INFORMATION}.{PROVENANCE}": ["This is for the provider to say."]})
    found = errors_of({"metadata": {**metadata, "type": "dataset"}})
    problems = {f"{FIELD}.{field}": texts for field, texts in found.items() if field.startswith("metadata.")}
    if problems:
        raise Invalid(problems)


def _place(body: Mapping[str, object]) -> UrlPlace | S3File:
    match body.get("type"):
        case "url":
            method = json_form.optional_text(body.get("method"), f"{STORAGE_FIELD}.method").upper() or "PUT"
            if method not in _METHODS:
                raise json_form.wrong(f"{STORAGE_FIELD}.method", "PUT or POST")
            read = parse_file({**body, "method": "GET"}, STORAGE_FIELD)
            if not isinstance(read, UrlFile):
                raise TypeError("a file object of type url gives an UrlFile")
            return UrlPlace(read.url, cast("Literal['PUT', 'POST']", method), read.headers)
        case "s3":
            found = parse_file(body, STORAGE_FIELD)
            if not isinstance(found, S3File):
                raise TypeError("a file object of type s3 gives an S3File")
            return found
        case _:
            raise json_form.wrong(f"{STORAGE_FIELD}.type", "url or s3")


def _public_key(given: object) -> str:
    if given is None:
        return ""
    body = json_form.mapping(given, _ENCRYPTION)
    if body.get("encryptMethod", "ECIES") != "ECIES":
        raise json_form.wrong(f"{_ENCRYPTION}.encryptMethod", "ECIES: results are encrypted to a public key")
    key = json_form.text(body.get("key"), f"{_ENCRYPTION}.key")
    found = _PUBLIC_KEY.fullmatch(key)
    if found is None:
        raise json_form.wrong(f"{_ENCRYPTION}.key", "a public key of secp256k1 in hex, compressed or not")
    return f"04{found[1]}".lower() if len(found[1]) == _COORDINATES else found[1].lower()
