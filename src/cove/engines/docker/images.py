"""Images at the daemon: which one a container section names, and how it gets there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cove.core import image_names
from cove.core.errors import ImagePullFailed, ImageRefused, NoSpace, Unavailable
from cove.core.job import Container
from cove.engines.docker.api import Api, Refused
from cove.engines.docker.config import DockerConfig, login, login_of
from cove.engines.docker.containers import Image
from cove.engines.docker.private import PrivateImages, Seen, seen
from cove.ports import ImageSource, Preparation

_MISSING: Final = 404
_TRIES: Final = 3
_FIRST_WAIT_SECONDS: Final = 0.5
_NO_ANSWER: Final = re.compile(
    r"connection refused|no such host|i/o timeout|timeout exceeded|deadline exceeded|\bEOF\b|connection reset"
    r"|network is unreachable|toomanyrequests|TLS handshake|dial (tcp|udp)|server misbehaving"
    # Not any such number: a digest or a port may hold it.
    r"|(status|HTTP|StatusCode|code from registry)[: ]+50[0-9]\b",
    re.IGNORECASE,
)
_FULL: Final = re.compile("no space left|disk quota", re.IGNORECASE)


async def find(api: Api, config: DockerConfig, container: Container) -> tuple[Image, Seen]:
    """Give what an image says of itself, and what the daemon calls it.

    Raises:
        ImageRefused: The daemon has no such image, or it is not what its checksum says.
        Unavailable: The daemon did not answer.
    """
    wanted = _wanted(config, container)
    for name in _names(_meant(config, container), wanted):
        try:
            found = await api.get(f"/images/{name}/json")
        except Refused as refusal:
            if refusal.status != _MISSING:
                raise Unavailable("the container daemon") from None
            continue
        digests = _digests(found)
        if wanted and wanted not in digests:
            continue
        return _described(found, digests[0]), seen(found)
    raise _not_here(container)


async def pull(
    api: Api, config: DockerConfig, container: Container, progress: Preparation, login: str, *, ask_first: bool = False
) -> None:
    """Have the daemon bring an image.

    Args:
        api: The daemon.
        config: The owner's.
        container: What is wanted.
        progress: Is told how far it is.
        login: Who asks the registry, as the daemon is told it; empty for nobody.
        ask_first: Have the registry say that it shows the image to them. Docker asks it for nothing that it knows
            by its digest, and shares what it brings for somebody else meanwhile.

    Raises:
        ImageRefused: There is no such image, or it is not ours to have.
        ImagePullFailed: The registry did not answer, however often it was asked.
        NoSpace: The daemon's disk is full.
        Unavailable: The daemon did not answer.
    """
    failures = 0
    while True:
        try:
            return await _pull(api, config, container, progress, login, ask_first=ask_first)
        except ImagePullFailed:
            failures += 1
            if failures == _TRIES:
                raise
        await asyncio.sleep(_FIRST_WAIT_SECONDS * 2 ** (failures - 1))


async def _pull(
    api: Api, config: DockerConfig, container: Container, progress: Preparation, login: str, *, ask_first: bool
) -> None:
    wanted = _wanted(config, container)
    meant = _meant(config, container)
    name = f"{meant.image}@{wanted}" if wanted else f"{meant.image}:{meant.tag or 'latest'}"
    layers: dict[str, tuple[int, int]] = {}
    progress.doing = "pulling"
    try:
        if ask_first:
            await api.get(f"/distribution/{name}/json", login)
        async for news in api.lines("POST", "/images/create", login, fromImage=name):
            if "error" in news:
                raise failure(container, str(news["error"]))
            _count(layers, news, progress)
    except Refused as refusal:
        raise failure(container, str(refusal)) from None


def _count(layers: dict[str, tuple[int, int]], news: Mapping[str, Any], progress: Preparation) -> None:
    told = news.get("progressDetail") or {}
    if news.get("status") == "Downloading" and "current" in told:
        layers[str(news.get("id"))] = (int(told["current"]), int(told.get("total") or 0))
        progress.bytes_done = sum(done for done, _ in layers.values())
        progress.bytes_total = sum(total for _, total in layers.values()) or None


def failure(container: Container, text: str) -> Exception:
    """Say whose fault a failed pull is; the daemon's own text may name hosts and is not passed on."""
    if _FULL.search(text):
        return NoSpace("There is no space left for an image.")
    if _NO_ANSWER.search(text):
        return ImagePullFailed(f"The registry of {container.reference} did not answer, or cannot now.")
    if container.login is not None:
        return ImageRefused(
            f"The image {container.reference} cannot be pulled: there is none, or the login given with the job is not "
            "one for it.",
            hint="Check the image's name, the user and the password.",
        )
    return ImageRefused(
        f"The image {container.reference} cannot be pulled: there is none, or it is not public.",
        hint="Correct the algorithm's container section, or ask the provider to add the image.",
    )


def _not_here(container: Container) -> ImageRefused:
    return ImageRefused(f"The image {container.reference} is not here.", hint="Ask the provider to add it.")


def _wanted(config: DockerConfig, container: Container) -> str:
    """Give the digest that an image must have; empty where any will do.

    Raises:
        ImageRefused: The owner's table has another checksum than the algorithm.
    """
    source = _source(config, container)
    if source is None or not source.checksum:
        return container.checksum
    if source.checksum != container.checksum:
        raise ImageRefused(f"The image {container.reference} has another checksum here than the algorithm states.")
    return ""  # the owner vouches for what lies at the daemon under this name


def _source(config: DockerConfig, container: Container) -> ImageSource | None:
    return image_names.find(config.images, container)


def _meant(config: DockerConfig, container: Container) -> Container:
    """Give the name under which the daemon knows an image, where the owner's table has another one for it."""
    source = _source(config, container)
    if source is None or source.kind != "registry" or not source.path:
        return container
    name, sign, tag = source.path.rpartition(":")
    return replace(container, image=name, tag=tag) if sign and "/" not in tag else replace(container, image=source.path)


def _names(container: Container, wanted: str) -> list[str]:
    if container.digest:
        return [container.digest, f"{container.image}@{container.digest}"]
    tagged = f"{container.image}:{container.tag or 'latest'}"
    return [f"{container.image}@{wanted}", wanted, tagged] if wanted else [tagged]


def _digests(found: Mapping[str, Any]) -> list[str]:
    """List what an image may be called by: its own id first, then the digests of its manifests."""
    own = str(found["Id"])
    return [
        own if own.startswith("sha256:") else f"sha256:{own}",
        *(str(name).rpartition("@")[2] for name in found.get("RepoDigests") or []),
    ]


def _described(found: Mapping[str, Any], digest: str) -> Image:
    said = found.get("Config") or {}
    variables = dict(text.partition("=")[::2] for text in said.get("Env") or [])
    return Image(
        reference=digest,
        entrypoint=tuple(said.get("Entrypoint") or ()),
        command=tuple(said.get("Cmd") or ()),
        working_directory=said.get("WorkingDir") or "/",
        path=variables.get("PATH", ""),
    )


async def prepare(
    api: Api,
    config: DockerConfig,
    private: PrivateImages,
    container: Container,
    progress: Preparation,
    *,
    ask_first: bool,
) -> Container:
    """Give the container section with the digest of the daemon's image, which is pulled where it is missing.

    One that was shown to a consumer's login is asked for at its registry again, with the login of this job.

    Raises:
        ImageRefused: There is no such image, or it is not what its checksum says.
        ImagePullFailed: The registry did not answer, however often it was asked.
        NoSpace: The daemon's disk is full.
        Unavailable: The daemon did not answer.
    """
    try:
        _, found = await find(api, config, container)
        if not await private.holds(found):
            return replace(container, digest=found.id)
    except ImageRefused:
        if config.pull == "never":
            raise
    if config.pull == "never":
        raise _not_here(container)
    # A digest of before may be a name at this daemon alone: what the section names is brought anew.
    container = replace(container, digest="")
    meant = _meant(config, container)
    own = _own_login(container, meant)
    if own:
        async with private.pulling(meant.image):
            await pull(api, config, container, progress, own, ask_first=ask_first)
        _, found = await find(api, config, container)
    else:
        container = replace(container, login=None)
        await pull(api, config, container, progress, login(config, meant.image), ask_first=ask_first)
        _, found = await find(api, config, container)
        await private.shown(found)
    return replace(container, digest=found.id)


def _own_login(container: Container, meant: Container) -> str:
    """Give the consumer's login; empty where there is none, or the owner has another registry for that name."""
    if container.login is None or _registry(container) != _registry(meant):
        return ""
    return login_of(_registry(meant), container.login)


def _registry(container: Container) -> str:
    return image_names.parse_reference(container.image, container.tag).registry
