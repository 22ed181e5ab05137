"""Which images of the daemon only a consumer's own login was shown: others have to prove that they may have them too.

The daemon itself gives what it has to everybody who asks for it. So it is written down before such a pull begins, with
what the daemon had until then: a service that is killed in the middle of it finds out at its next start what has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cove.core.errors import ImageRefused, NoSpace, Unavailable
from cove.core.image_names import parse_reference
from cove.engines.docker.api import Api

_FILE: Final = "private.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """One image of the daemon."""

    id: str
    #: Registry and repository of every name that it has there.
    repositories: frozenset[str]


@dataclass(slots=True, eq=False)
class _Pull:
    """A pull by a consumer's login that has not come to its end."""

    repository: str
    #: Ids of all images that the daemon had before.
    before: frozenset[str]

    def brought(self, image: Seen) -> bool:
        return self.repository in image.repositories and image.id not in self.before


@dataclass(slots=True)
class PrivateImages:
    """The images of one daemon, as an engine's folder remembers them."""

    api: Api
    root: Path
    _ids: set[str] = field(default_factory=set)
    _pulls: list[_Pull] = field(default_factory=list)
    #: Those of them that a cancelled call or a killed process left.
    _cut_off: list[_Pull] = field(default_factory=list)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def open(self) -> None:
        """Read what was written down."""
        with contextlib.suppress(FileNotFoundError):
            told = json.loads((self.root / _FILE).read_bytes())
            self._ids = set(told["private"])
            self._cut_off = [_Pull(pull["repository"], frozenset(pull["before"])) for pull in told["pulls"]]
            self._pulls = list(self._cut_off)

    async def holds(self, image: Seen) -> bool:
        """Say whether an image may only be used by those whom its registry shows it.

        Raises:
            Unavailable: The daemon did not answer.
        """
        if self._cut_off:
            await self._settle()
        return image.id in self._ids or any(pull.brought(image) for pull in self._pulls)

    @contextlib.asynccontextmanager
    async def pulling(self, image: str) -> AsyncIterator[None]:
        """Have what comes meanwhile be private, but for what was there before.

        Args:
            image: Name of the image.

        Raises:
            NoSpace: That cannot be written down.
            Unavailable: It cannot be written down for another reason, or the daemon did not answer.
        """
        known = set(self._ids)
        pull = _Pull(_repository(image), frozenset([one.id for one in await self._there()]))
        self._ids -= known - pull.before
        self._pulls.append(pull)
        try:
            await self._write()
            yield
        finally:
            self._cut_off.append(pull)
        await self._settle()

    async def shown(self, image: Seen) -> None:
        """Have an image be everybody's: its registry gave it without a consumer's login."""
        if image.id in self._ids:
            self._ids.discard(image.id)
            await self._write()

    async def _settle(self) -> None:
        """Find out what the pulls brought that have come to an end, whichever that was."""
        there = await self._there()
        over, self._cut_off = self._cut_off, []
        try:
            self._ids |= {image.id for image in there for pull in over if pull.brought(image)}
            self._pulls = [pull for pull in self._pulls if pull not in over]
            await self._write()
        except BaseException:
            self._pulls += [pull for pull in over if pull not in self._pulls]
            self._cut_off += over
            raise

    async def _there(self) -> list[Seen]:
        return [seen(one) for one in await self.api.get("/images/json", all="true")]

    async def _write(self) -> None:
        await asyncio.shield(self._written())

    async def _written(self) -> None:
        async with self._writing:
            pulls = [{"repository": pull.repository, "before": sorted(pull.before)} for pull in self._pulls]
            text = json.dumps({"private": sorted(self._ids), "pulls": pulls}).encode()
            await asyncio.to_thread(_replace, self.root / _FILE, text)


def seen(found: Mapping[str, Any]) -> Seen:
    """Read what the daemon tells of an image."""
    own = str(found["Id"])
    names: Collection[str] = [*(found.get("RepoTags") or []), *(found.get("RepoDigests") or [])]
    repositories = set()
    for name in names:
        with contextlib.suppress(ImageRefused):  # "<none>:<none>"
            repositories.add(_repository(name))
    return Seen(own if own.startswith("sha256:") else f"sha256:{own}", frozenset(repositories))


def _repository(name: str) -> str:
    return parse_reference(name).name


def _replace(place: Path, text: bytes) -> None:
    partial = place.with_suffix(".tmp")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(place)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    except OSError as problem:
        if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace("There is no space left for the list of private images.") from None
        raise Unavailable("the engine's folder", f"The list of private images: {problem.strerror}.") from None
