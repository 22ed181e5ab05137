"""Published assets from a folder of files, one for each: for a site without a chain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cove.core import ddo, json_form
from cove.core.asset import Asset
from cove.core.document import MAX_DOCUMENT_BYTES
from cove.core.errors import Invalid, NotFound, Unavailable
from cove.core.messages import parse_address

_DID: Final = re.compile(r"did:op:([0-9a-f]{64})\Z")
_FILE: Final = re.compile(r"([0-9a-f]{64})\.json\Z")
_REMEMBERED: Final = 1000
_REMEMBERED_BYTES: Final = 64 << 10
_PART: Final = "the catalogue"

Stamp = tuple[int, int, int]


class FolderMetadata:
    """A folder of assets, as ``cove.ports.MetadataStore`` describes it.

    Each file is named for its DID and holds ``{"owner", "state", "ddo"}``: what a chain would say of the asset's NFT,
    and the DDO. Whoever may write into the folder says whose an asset is, so it is the provider's own. A file is read
    again when it has changed.

    Args:
        folder: Where the files are.
        chain_id: Under which they are published; a DDO of another one is no asset of this folder.
        checksum: Gives an address with the capitals of EIP-55.
    """

    def __init__(self, folder: Path, chain_id: int, checksum: Callable[[str], str]) -> None:
        self._folder = folder
        self._checksum = checksum
        self._chain_id = chain_id
        self._assets: OrderedDict[str, tuple[Stamp, Asset]] = OrderedDict()

    def knows(self, did: str) -> bool:
        """Say whether the asset's file was read already; False says nothing."""
        return did.lower() in self._assets

    async def asset(self, did: str) -> Asset:
        """Give an asset.

        Raises:
            NotFound: There is no such file, or what is in it is no valid DDO of that DID.
            Unavailable: The folder cannot be read.
        """
        return await asyncio.to_thread(self.read, did)

    async def close(self) -> None:
        """Nothing is held."""

    def read(self, did: str) -> Asset:
        """Give an asset. Blocking; see :meth:`asset`."""
        did = did.lower()
        named = _DID.match(did)
        if named is None:
            raise NotFound("There is no such asset: did:op: and 64 hex digits are expected.")
        stamp, content = self._content(did, self._folder / f"{named[1]}.json")
        if content is None:
            return self._assets[did][1]
        asset = self._parsed(did, content)
        if len(content) <= _REMEMBERED_BYTES:
            self._assets[did] = stamp, asset
            self._assets.move_to_end(did)
        else:
            self._assets.pop(did, None)
        while len(self._assets) > _REMEMBERED:
            self._assets.popitem(last=False)
        return asset

    def dids(self) -> Sequence[str]:
        """List the assets that have a file here, whether or not it is a good one. Blocking.

        Raises:
            Unavailable: The folder cannot be read.
        """
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder))
        except OSError as problem:
            raise _away(problem) from None
        return [f"did:op:{found[1]}" for name in names if (found := _FILE.match(name))]

    def _content(self, did: str, path: Path) -> tuple[Stamp, bytes | None]:
        """Give a file's bytes; None when it is as it was when it was read."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._assets.pop(did, None)
            self._check_folder()
            raise NotFound("There is no such asset.", hint="Publish it first, or check the DID.") from None
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise NotFound("The asset's file in the catalogue is a link, which is not followed.") from None
            raise _away(problem) from None
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            os.close(descriptor)
            raise NotFound("What stands in the catalogue under this DID is no file.")
        with os.fdopen(descriptor, "rb") as file:
            stamp = seen.st_mtime_ns, seen.st_size, seen.st_ino
            known = self._assets.get(did)
            if known is not None and known[0] == stamp:
                return stamp, None
            try:
                return stamp, file.read(MAX_DOCUMENT_BYTES + 1)
            except OSError as problem:
                raise _away(problem) from None

    def _check_folder(self) -> None:
        """A folder that is not there says nothing of what is published."""
        if not self._folder.is_dir():
            raise Unavailable(_PART, f"the catalogue's folder {self._folder} is not there")

    def _parsed(self, did: str, content: bytes) -> Asset:
        try:
            body = json_form.mapping(json_form.load(content, "file", limit=MAX_DOCUMENT_BYTES), "file")
            owner = self._checksum(parse_address(body.get("owner"), "owner"))
            state = json_form.whole_number(body.get("state"), "state", least=0, most=255)
            document = json_form.mapping(body.get("ddo"), "ddo")
            asset = ddo.parse(document, publisher=owner, state=state)
            own = ddo.did_of(self._checksum(asset.nft), self._chain_id)
        except Invalid as problem:
            field = next(iter(problem.errors), "ddo")
            raise NotFound(f"The asset's file in the catalogue is no valid one: {field} is wrong.") from None
        if (asset.did.lower(), asset.chain_id) != (did, self._chain_id) or own != did:
            raise NotFound("The asset's file in the catalogue holds another asset.")
        # Stands where a chain has the transaction: the asset's facts are this folder's, not the document's own claims.
        return replace(asset, metadata_tx="0x" + hashlib.sha256(asset.document.encode()).hexdigest())


def write_asset(folder: Path, document: Mapping[str, object], owner: str, state: int) -> Path:
    """Put an asset's file into a catalogue, whole or not at all, and give its path. Blocking.

    Args:
        folder: The catalogue; made when it is not there.
        document: The DDO.
        owner: Who owns the asset.
        state: As an NFT's: 0 active, 3 revoked.

    Raises:
        Invalid: It is no DDO that could be read again.
        OSError: The folder cannot be written.
    """
    asset = ddo.parse(document, publisher=owner, state=state)
    named = _DID.match(asset.did.lower())
    if named is None:
        raise Invalid({"id": ["It must be did:op: and 64 hexadecimal digits."]})
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = folder / f"{named[1]}.json"
    content = json.dumps({"owner": owner, "state": state, "ddo": document}, indent=1, ensure_ascii=False) + "\n"
    passing = folder / f".{named[1]}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            passing.unlink()
    _settle(folder)
    return target


def _settle(folder: Path) -> None:
    """Have a new name outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _away(problem: OSError) -> Unavailable:
    return Unavailable(_PART, f"the catalogue cannot be read: {problem.strerror}")
