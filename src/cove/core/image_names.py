"""What an image's name means, and which of the owner's entries it falls under."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from cove.core.errors import ImageRefused
from cove.core.job import Container

DOCKER_HUB: Final = "docker.io"

_DOCKER_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_REGISTRY: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?", re.ASCII)
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_PART}(?:/{_PART})*", re.ASCII)
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_WILD: Final = frozenset("*?[")

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's full name."""

    #: ``docker.io``, or host and port as written.
    registry: str
    #: ``library/python``.
    repository: str
    #: Empty only where there is a digest.
    tag: str
    #: ``sha256:<hex>``, or empty.
    digest: str = ""

    @property
    def name(self) -> str:
        """Give registry and repository."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def spellings(self) -> tuple[str, ...]:
        """Give every way in which an owner may have written this name, with the tag and without."""
        names = [self.name]
        if self.registry == DOCKER_HUB:
            names.append(self.repository)
            if self.repository.startswith("library/"):
                names.append(self.repository.removeprefix("library/"))
        return tuple(spelled for name in names for spelled in (f"{name}:{self.tag}", name))


def parse_reference(image: str, tag: str = "") -> Reference:
    """Read an image's name as registries, Docker and DDOs write it.

    Args:
        image: The name, which may hold a tag and a digest.
        tag: The DDO's; it wins over one in the name. ``latest`` where there is neither, nor a digest.

    Raises:
        ImageRefused: It is no such name.
    """
    rest, at, digest = image.partition("@")
    if at and not is_digest(digest):
        raise ImageRefused(f"The image {image} has a digest that is not sha256: and 64 hex digits.")
    first, slash, further = rest.partition("/")
    registry, repository = DOCKER_HUB, rest
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first.lower(), further
    repository, colon, own_tag = repository.partition(":")
    tag = tag or own_tag or ("" if digest else "latest")
    if _REGISTRY.fullmatch(registry) is None or (colon and not own_tag):
        raise ImageRefused(f"{image} is not the name of an image.")
    if registry in _DOCKER_HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    if _REPOSITORY.fullmatch(repository) is None:
        raise ImageRefused(f"{image} is not the name of an image: registries have lower-case letters there.")
    if tag and _TAG.fullmatch(tag) is None:
        raise ImageRefused(f"The image {image} has a tag that registries do not know: {tag}.")
    return Reference(registry, repository, tag, digest)


def is_digest(text: str) -> bool:
    """Say whether a text is a digest that can be checked."""
    return _DIGEST.fullmatch(text) is not None


def is_pattern(entry: str) -> bool:
    """Say whether an entry of the owner's table stands for more than one name."""
    return not _WILD.isdisjoint(entry)


def names_its_registry(pattern: str) -> bool:
    """Say whether a pattern says in clear which registry it is about; one that starts with ``*`` does not."""
    first, slash, _ = pattern.partition("/")
    return not is_pattern(first) if slash else not pattern.startswith(("*", "?", "["))


def find(table: Mapping[str, Found], container: Container) -> Found | None:
    """Give the owner's entry for an image; None where there is none.

    The name exactly as the DDO has it comes first, with its tag and then without. Then every entry counts for all
    spellings of the name (``python``, ``docker.io/library/python``), in the order of the table.
    """
    exact = table.get(container.reference) or table.get(container.image)
    if exact is not None:
        return exact
    try:
        spellings = parse_reference(container.image, container.tag).spellings()
    except ImageRefused:
        return None
    for entry, found in table.items():
        if any(fnmatchcase(spelled, entry) if is_pattern(entry) else spelled == entry for spelled in spellings):
            return found
    return None
