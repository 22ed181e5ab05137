"""The container of an algorithm, and where everything lies in ``/data`` inside its sandbox (``container.md``)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cove.core.errors import Refused
from cove.core.files import (
    CONTRACT_NAME,
    GRAPHQL_NAME,
    ArweaveFile,
    ContractFile,
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
from cove.core.job import Container, InputAsset, Package
from cove.core.json_form import members
from cove.core.public_ddo import minimal_document
from cove.core.variables import check_environment
from cove.core.weburl import parse_url

__all__ = [
    "CUSTOM_DATA",
    "RAW_ALGORITHM",
    "Place",
    "Plan",
    "check_container",
    "check_environment",
    "custom_data",
    "file_name",
    "plan",
]

CUSTOM_DATA: Final = "algoCustomData.json"
RAW_ALGORITHM: Final = "raw"
"""What stands for the DID of raw code: in ``TRANSFORMATION_DID`` and as the name of its DDO."""

_FIELD: Final = "algorithm.container"
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_CHECKSUM: Final = re.compile(r"sha256:[A-Za-z0-9]{1,128}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_UNSAFE_IN_NAME: Final = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_MAX_ENTRYPOINT: Final = 4096
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """One file or folder, at its place inside."""

    #: Absolute path inside, below ``/data``.
    target: str
    #: Where its bytes come from; None: they are ``content``.
    file: FileObject | None
    content: bytes = b""
    #: Mode 0755 instead of 0644.
    executable: bool = False
    #: DID of the dataset that it is of; None for what is of none.
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything of a job lies, and the variables that tell the algorithm."""

    places: tuple[Place, ...]
    environment: tuple[tuple[str, str], ...]


def check_container(entrypoint: str | None, image: str | None, tag: str | None, checksum: str | None) -> Container:
    """Give the container that these four describe, each as it was sent.

    An entrypoint that is the empty text means the image's own; one that was not sent at all is missing. A tag may be
    missing.

    Raises:
        Refused: Under ``algorithm.container``: ``missing_entrypoint_image_checksum``, ``checksum_prefix``,
            ``image_invalid``, ``tag_invalid`` or ``entrypoint_invalid``.
    """
    if entrypoint is None or not image or not checksum:
        raise Refused(_FIELD, "missing_entrypoint_image_checksum", hint="Give entrypoint, image and checksum.")
    if _CHECKSUM.fullmatch(checksum) is None:
        raise Refused(_FIELD, "checksum_prefix", hint="The checksum must be sha256: and the image's digest.")
    if _IMAGE.fullmatch(image) is None:
        raise Refused(_FIELD, "image_invalid", hint="The image must be a name as registries use it.")
    if tag and _TAG.fullmatch(tag) is None:
        raise Refused(_FIELD, "tag_invalid", hint="A tag has letters, digits, point, dash and underscore.")
    if len(entrypoint) > _MAX_ENTRYPOINT or _CONTROL.search(entrypoint):
        raise Refused(_FIELD, "entrypoint_invalid", hint=f"One line of at most {_MAX_ENTRYPOINT} characters.")
    return Container(image=image, tag=tag or "", checksum=checksum, entrypoint=entrypoint)


def plan(package: Package, files: Sequence[Sequence[FileObject]], algorithm_files: Sequence[FileObject]) -> Plan:
    """Say where everything of a job goes.

    Args:
        package: What the job is about.
        files: The files of each dataset, in the order of ``package.datasets``.
        algorithm_files: The algorithm's own; not looked at when there is raw code.
    """
    names = _input_names(package.datasets)
    lay = _flat if package.layout == "flat" else _by_did
    places = [
        *lay(names, package.datasets, files),
        *_algorithm_places(package.rawcode, algorithm_files),
        *_documents(package, names),
        Place(f"/data/inputs/{CUSTOM_DATA}", None, custom_data(package).encode("utf-8", "surrogatepass")),
    ]
    dids = [] if package.layout == "flat" else list(dict.fromkeys(names))
    own = (("DIDS", json.dumps(dids)), ("TRANSFORMATION_DID", _algorithm_name(package)))
    return Plan(tuple(places), (*package.environment, *own))


def custom_data(package: Package) -> str:
    """Give the text of ``algoCustomData.json``: always an object.

    It has every key of ``algocustomdata``, and every key of the algorithm's ``userdata`` that is not among them. Values
    keep the very text they were given in, so that no number loses a digit.

    Raises:
        Invalid: One of the two is no JSON object.
    """
    own = members(package.custom_data, "algorithm.algocustomdata")
    further = members(package.algorithm.userdata, "algorithm.userdata")
    merged = further | own
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in merged.items()) + "}"


def _input_names(datasets: Sequence[InputAsset]) -> list[str]:
    """Name each dataset's folder; one without DID by a digest that tells nothing of its URL."""
    return [
        _folder_name(asset.did) if asset.did else hashlib.sha256(f"raw input {position}".encode()).hexdigest()
        for position, asset in enumerate(datasets)
    ]


def _folder_name(did: str) -> str:
    return did.removeprefix("did:op:")


def _algorithm_name(package: Package) -> str:
    return _folder_name(package.algorithm.did) or RAW_ALGORITHM


def _by_did(names: Sequence[str], datasets: Sequence[InputAsset], files: Sequence[Sequence[FileObject]]) -> list[Place]:
    """Number the files in each dataset's folder; two services of one dataset share it and count on."""
    places: list[Place] = []
    counts: dict[str, int] = {}
    for name, dataset, listed in zip(names, datasets, files, strict=True):
        for file in listed:
            number = counts.get(name, 0)
            counts[name] = number + 1
            places.append(Place(f"/data/inputs/{name}/{number}", file, dataset=dataset.did))
    return places


def _flat(names: Sequence[str], datasets: Sequence[InputAsset], files: Sequence[Sequence[FileObject]]) -> list[Place]:
    del names
    taken = {CUSTOM_DATA}
    places: list[Place] = []
    for dataset, file in ((dataset, file) for dataset, listed in zip(datasets, files, strict=True) for file in listed):
        name = _free_name(file_name(file) or "0", taken.__contains__)
        taken.add(name)
        places.append(Place(f"/data/inputs/{name}", file, dataset=dataset.did))
    return places


def file_name(file: FileObject) -> str:
    """Give the last part of a file's URL or path, as a safe name; empty where there is none."""
    name = _UNSAFE_IN_NAME.sub("_", _last_part(file)).encode("utf-8")[:_MAX_NAME].decode("utf-8", "ignore")
    return "" if name in {".", ".."} else name


def _last_part(file: FileObject) -> str:
    match file:
        case LocalFile():
            return file.path.rpartition("/")[2]
        case UrlFile():
            return unquote(parse_url(file.url).path.rpartition("/")[2], errors="replace")
        case S3File():
            return file.object_key.rpartition("/")[2]
        case GraphqlFile():
            return GRAPHQL_NAME
        case ContractFile():
            return CONTRACT_NAME
        case SampleFile():
            return file.place.rpartition("/")[2]
        case PeerFile() | ResultFileObject():
            return file.filename.replace("\\", "/").rpartition("/")[2]
        case IpfsFile() | ArweaveFile():
            return ""  # the only name that these have is the one that gives the file away


def _free_name(name: str, is_taken: Callable[[str], bool]) -> str:
    candidate, number = name, 0
    while is_taken(candidate):
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def _algorithm_places(rawcode: str | None, files: Sequence[FileObject]) -> list[Place]:
    target = "/data/transformations/algorithm"
    if rawcode is not None:
        return [Place(target, None, rawcode.encode("utf-8", "surrogatepass"), executable=True)]
    return [
        Place(target, file, executable=True) if number == 0 else Place(f"/data/transformations/{number}", file)
        for number, file in enumerate(files)
    ]


def _documents(package: Package, names: Sequence[str]) -> list[Place]:
    documents = {
        name: asset.document or minimal_document(name, "dataset")
        for name, asset in zip(names, package.datasets, strict=True)
    }
    own = _algorithm_name(package)
    documents.setdefault(own, package.algorithm.document or minimal_document(own, "algorithm"))
    return [Place(f"/data/ddos/{name}", None, text.encode("utf-8")) for name, text in documents.items()]
