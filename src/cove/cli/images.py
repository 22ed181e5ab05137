"""The owner's commands about images; they work beside a running service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cove.cli import interruption, output
from cove.cli.owner import AsJson, SettingsFile, owner_errors

if TYPE_CHECKING:
    from cove.images.store import DiskImages
    from cove.ports import Image
    from cove.settings import Settings

_MIB: Final = 1 << 20


def list_images(settings_file: SettingsFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the images that are unpacked here, the last used first."""
    with owner_errors(as_json=as_json):
        found = _with_store(settings_file, lambda store, _: interruption.run(_all(store)))
    if as_json:
        output.document([_fields(image) for image in found])
        return
    rows = [(", ".join(one.names), one.digest, f"{one.size / _MIB:.1f} MiB", _state(one)) for one in found]
    output.table(("Image", "Digest", "Size", "Used"), rows)


def pull(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Name as in an algorithm's DDO: python:3.11")],
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Bring an image before a job needs it, and print the digest that a DDO has to state as its checksum."""
    with owner_errors(as_json=as_json):
        found = _with_store(settings_file, lambda store, settings: interruption.run(_pull(store, settings, image)))
    if as_json:
        output.document(_fields(found))
    else:
        typer.echo(found.digest)


def remove(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Digest, or name as the list has it.")],
    settings_file: SettingsFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Remove an image, or all of a name, unless a job needs it."""
    from cove.core.errors import NotFound, Unavailable  # noqa: PLC0415 - light, and used here alone

    with owner_errors(as_json=as_json):
        gone, kept = _with_store(settings_file, lambda store, _: interruption.run(_remove(store, image)))
        if kept:
            raise Unavailable("images", f"The image {kept[0].digest} is in use by a job; try again when it has ended.")
        if not gone:
            raise NotFound(f"There is no image {image} here.", hint="cove images list names those that there are.")
    if as_json:
        output.document([_fields(one) for one in gone])
    else:
        for one in gone:
            typer.echo(one.digest)


def build() -> typer.Typer:
    """Give the group of commands."""
    app = typer.Typer(help="List, bring and remove unpacked images.", no_args_is_help=True)
    for name, command in COMMANDS:
        app.command(name)(command)
    return app


COMMANDS: Final[Sequence[tuple[str, Callable[..., None]]]] = (("list", list_images), ("pull", pull), ("remove", remove))


def _with_store(settings_file: Any, act: Callable[[DiskImages, Settings], Any]) -> Any:  # noqa: ANN401 - handed on
    from cove.settings import load  # noqa: PLC0415 - the service's parts take long to import
    from cove.wiring.images import open_images  # noqa: PLC0415 - likewise
    from cove.wiring.state import prepare_state  # noqa: PLC0415 - likewise

    settings = load(settings_file)
    store = open_images(settings, prepare_state(settings.state_dir))
    try:
        return act(store, settings)
    finally:
        store.close()


async def _all(store: DiskImages) -> Sequence[Image]:
    return await store.images()


async def _pull(store: DiskImages, settings: Settings, name: str) -> Image:
    from cove.core.errors import ImageRefused  # noqa: PLC0415 - light, and used here alone
    from cove.core.image_names import find  # noqa: PLC0415 - likewise
    from cove.core.job import Container  # noqa: PLC0415 - likewise
    from cove.jobs.steps import Progress  # noqa: PLC0415 - slow
    from cove.wiring.images import image_sources  # noqa: PLC0415 - slow

    container = Container(name)
    source = find(image_sources(settings), container)
    if source is None or source.kind not in {"registry", "archive"}:
        raise ImageRefused(
            f"The settings have no image of a registry or an archive that is named {name}.",
            hint='Add it to cove.toml: [images."NAME"] with kind = "registry".',
        )
    return await store.prepare(source, container, Progress())


async def _remove(store: DiskImages, name: str) -> tuple[list[Image], list[Image]]:
    gone: list[Image] = []
    kept: list[Image] = []
    for image in await store.images():
        if name in {image.digest, *image.names} or f"docker.io/{name}" in image.names:
            (gone if await store.remove(image.digest) else kept).append(image)
    return gone, kept


def _fields(image: Image) -> dict[str, Any]:
    return {
        "digest": image.digest,
        "names": list(image.names),
        "bytes": image.size,
        "usedAt": image.used_at,
        "inUse": image.in_use,
    }


def _state(image: Image) -> str:
    if image.in_use:
        return "now"
    days = (time.time() - image.used_at) / 86_400
    return f"{days:.0f} days ago" if days >= 1 else "today"
