"""Reads file objects and file lists (section 4 of the API): the plain text of what ``services[].files`` encrypts.

Nothing of what is read is ever quoted in an error: URLs, headers and paths are secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

from cove.core import json_form
from cove.core.contractcall import parse_function
from cove.core.errors import Invalid, Refused
from cove.core.files import (
    ArweaveFile,
    ContractFile,
    FileList,
    FileObject,
    GraphqlFile,
    IpfsFile,
    LocalFile,
    PeerFile,
    ResultFileObject,
    S3File,
    SampleFile,
    UrlFile,
)
from cove.core.graphql import MAX_QUERY, is_query
from cove.core.messages import parse_address
from cove.core.sigv4 import AwsKey
from cove.core.weburl import parse_url

MAX_FILES: Final = 1000
MAX_LIST_BYTES: Final = 1 << 20
MAX_HEADERS: Final = 50
MAX_USERDATA: Final = 64 << 10

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]{0,8192}")
_ROOT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_LONGEST_PATH: Final = 4096
_LONGEST_NAME: Final = 255
_CID: Final = re.compile(r"Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{8,112}", re.ASCII)
_ARWEAVE_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._~+-]{1,128}", re.ASCII)
_SECRET_KEY: Final = re.compile(r"[!-~]{1,256}", re.ASCII)
_LONGEST_OBJECT_KEY: Final = 1024
_HIGHEST_CHAIN: Final = 2**53
_OUR_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They decide how the bytes are framed and who is asked; a file object may not set them."""


def parse_file_list(plain: bytes) -> FileList:
    """Read a decrypted file list: the object of DDO 4.1.0, or the bare list of 4.0.0 (which has no addresses).

    Raises:
        Invalid: It is too large, no JSON, empty, or one of its files is malformed; under its dotted path.
    """
    body = json_form.load(plain, "files", limit=MAX_LIST_BYTES)
    if isinstance(body, list):
        return FileList(_files(body))
    listed = json_form.mapping(body, "files")
    return FileList(
        files=_files(listed.get("files")),
        datatoken=parse_address(listed.get("datatokenAddress"), "datatokenAddress"),
        nft=parse_address(listed.get("nftAddress"), "nftAddress"),
    )


def parse_file(value: object, field: str) -> FileObject:
    """Read one file object.

    Args:
        value: As JSON gives it.
        field: Dotted path of it, for errors.

    Raises:
        Invalid: Its type is unknown, or a part of it is malformed.
    """
    body = json_form.mapping(value, field)
    match body.get("type"):
        case "url":
            return _url_file(body, field)
        case "local":
            return _local_file(body, field)
        case "ipfs":
            return IpfsFile(_matching(body, "hash", field, _CID, "an IPFS CID of version 0 (Qm..) or 1 (b..)"))
        case "arweave":
            wanted = "the 43 characters of an Arweave transaction's id"
            return ArweaveFile(_matching(body, "transactionId", field, _ARWEAVE_ID, wanted))
        case "graphql":
            return _graphql_file(body, field)
        case "smartcontract":
            return ContractFile(
                json_form.whole_number(body.get("chainId"), f"{field}.chainId", least=1, most=_HIGHEST_CHAIN),
                parse_address(body.get("address"), f"{field}.address"),
                parse_function(body.get("abi"), f"{field}.abi"),
            )
        case "s3":
            return _s3_file(json_form.mapping(body.get("s3Access"), f"{field}.s3Access"), f"{field}.s3Access")
        case "result":
            index = json_form.whole_number(body.get("index"), f"{field}.index", least=0, most=MAX_FILES - 1)
            return ResultFileObject(index, json_form.optional_text(body.get("filename"), f"{field}.filename"))
        case _:
            known = "url, local, ipfs, arweave, graphql, smartcontract or s3"
            raise Invalid({f"{field}.type": [f"This file type is not served here; use {known}."]})


def bound_to(listed: FileList, datatoken: str, nft: str) -> None:
    """Return when a file list is an asset's own.

    The provider's key opens any ciphertext that was ever made for it. Only the addresses inside say whose it is, so
    a ciphertext that was copied from another asset is refused here, and so is a list without addresses.

    Args:
        listed: As it was decrypted.
        datatoken: Of the service that names it; compared without case.
        nft: Of the asset.

    Raises:
        Refused: ``files: not_bound_to_asset``.
    """
    found = (listed.datatoken.lower(), listed.nft.lower())
    if not all(found) or found != (datatoken.lower(), nft.lower()):
        raise Refused(
            "files",
            "not_bound_to_asset",
            hint="Encrypt {datatokenAddress, nftAddress, files} with the addresses of this very asset.",
        )


def attach_userdata(file: FileObject, userdata: str) -> FileObject:
    """Give a file object with the consumer's parameters, where its type takes any.

    They become the query parameters of ``url``, the variables of ``graphql`` and the arguments of ``smartcontract``.

    Args:
        file: As the owner wrote it.
        userdata: JSON object as text; the empty text is none.

    Raises:
        Invalid: It is no JSON object, or larger than 64 KiB.
    """
    parameters = userdata or "{}"
    json_form.mapping(json_form.load(parameters, "userdata", limit=MAX_USERDATA), "userdata")
    match file:
        case UrlFile() | GraphqlFile() | ContractFile():
            return replace(file, userdata=parameters)
        case LocalFile() | IpfsFile() | ArweaveFile() | S3File() | PeerFile() | SampleFile() | ResultFileObject():
            return file


def _files(value: object) -> tuple[FileObject, ...]:
    entries = json_form.sequence(value, "files", most=MAX_FILES)
    if not entries:
        raise json_form.wrong("files", "a list of at least one file")
    return tuple(parse_file(entry, f"files[{index}]") for index, entry in enumerate(entries))


def _url_file(body: Mapping[str, object], field: str) -> UrlFile:
    url = _url(body.get("url"), f"{field}.url")
    return UrlFile(url, _method(body.get("method"), f"{field}.method"), _headers(body.get("headers"), field))


def _url(value: object, field: str) -> str:
    url = json_form.text(value, field)
    try:
        parse_url(url)
    except ValueError as problem:
        raise json_form.wrong(field, str(problem)) from None
    return url


def _matching(body: Mapping[str, object], name: str, field: str, form: re.Pattern[str], wanted: str) -> str:
    text = json_form.text(body.get(name), f"{field}.{name}")
    if form.fullmatch(text) is None:
        raise json_form.wrong(f"{field}.{name}", wanted)
    return text


def _graphql_file(body: Mapping[str, object], field: str) -> GraphqlFile:
    query = json_form.text(body.get("query"), f"{field}.query")
    if len(query) > MAX_QUERY:
        raise json_form.wrong(f"{field}.query", f"a query of at most {MAX_QUERY} characters")
    if not is_query(query):
        raise json_form.wrong(f"{field}.query", "a GraphQL query; mutations and subscriptions are not sent")
    return GraphqlFile(_url(body.get("url"), f"{field}.url"), query, _headers(body.get("headers"), field))


def _s3_file(body: Mapping[str, object], field: str) -> S3File:
    endpoint = _url(body.get("endpoint"), f"{field}.endpoint")
    if "?" in endpoint or "#" in endpoint:
        raise json_form.wrong(f"{field}.endpoint", "the URL of an S3 service, without a query")
    given = json_form.optional_text(body.get("region"), f"{field}.region")
    region = _matching(body, "region", field, _REGION, "a region") if given else "us-east-1"
    key = AwsKey(
        region,
        _matching(body, "accessKeyId", field, _KEY_ID, "the id of an access key"),
        _matching(body, "secretAccessKey", field, _SECRET_KEY, "a secret access key"),
    )
    bucket = _matching(body, "bucket", field, _BUCKET, "the name of a bucket")
    style = body.get("forcePathStyle")
    path_style = True if style is None else json_form.flag(style, f"{field}.forcePathStyle")
    return S3File(endpoint, bucket, _object_key(body.get("objectKey"), f"{field}.objectKey"), key, path_style)


def _object_key(value: object, field: str) -> str:
    text = json_form.text(value, field)
    try:
        length = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _LONGEST_OBJECT_KEY or not text.isprintable() or {".", ".."} & set(text.split("/")):
        raise json_form.wrong(
            field, f"an object's key of at most {_LONGEST_OBJECT_KEY} bytes, without . and .. as names"
        )
    return text


def _method(value: object, field: str) -> Literal["GET", "POST"]:
    match json_form.optional_text(value, field).upper():
        case "" | "GET":
            return "GET"
        case "POST":
            return "POST"
        case _:
            raise json_form.wrong(field, "GET or POST")


def _headers(value: object, field: str) -> tuple[tuple[str, str], ...]:
    """Read headers, which publishers write as one object or as a list of objects."""
    if value is None:
        return ()
    parts: Sequence[object] = (
        [value] if isinstance(value, Mapping) else json_form.sequence(value, f"{field}.headers", most=MAX_HEADERS)
    )
    found: list[tuple[str, str]] = []
    for part in parts:
        found += [_header(name, entry, field) for name, entry in json_form.mapping(part, f"{field}.headers").items()]
    if len(found) > MAX_HEADERS:
        raise json_form.wrong(f"{field}.headers", f"at most {MAX_HEADERS} headers")
    return tuple(found)


def _header(name: str, value: object, field: str) -> tuple[str, str]:
    if _HEADER_NAME.fullmatch(name) is None or not isinstance(value, str) or _HEADER_VALUE.fullmatch(value) is None:
        raise json_form.wrong(f"{field}.headers", "header names with texts of one line")
    if name.lower() in _OUR_HEADERS or name.lower().startswith("proxy-"):
        raise json_form.wrong(f"{field}.headers", "headers other than those of the connection itself")
    return name, value


def _local_file(body: Mapping[str, object], field: str) -> LocalFile:
    root = json_form.text(body.get("root"), f"{field}.root")
    if _ROOT.fullmatch(root) is None:
        raise json_form.wrong(f"{field}.root", "the name of a root in the provider's settings")
    path = json_form.text(body.get("path"), f"{field}.path")
    if not is_relative_path(path):
        raise json_form.wrong(f"{field}.path", "a relative path with / and without .. (a single . is the root itself)")
    return LocalFile(root, path)


def is_relative_path(path: str) -> bool:
    """Say whether a text is a path that stays below where it starts, in its one normal spelling."""
    if path == ".":
        return True
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    names = encoded.split(b"/")
    return (
        len(encoded) <= _LONGEST_PATH
        and b"\0" not in encoded
        and all(name not in {b"", b".", b".."} and len(name) <= _LONGEST_NAME for name in names)
    )
