"""Remembers which sealed file lists were found good, and nothing of what is in them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from cove.core.job import InputAsset, SealedFiles

_REMEMBERED: Final = 4096


class Opened:
    """The inputs whose lists open with this provider's key and may be used.

    Whether one may hangs on its own parts and on settings that stay as they are while the service runs. To open two
    lists, in a thread because that takes its time, was a sixth of what a start costs.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, asset: InputAsset) -> bool:
        """Say whether an input was found good before; one without a sealed list never is."""
        return isinstance(asset.files, SealedFiles) and _name(asset, asset.files) in self._known

    def add(self, asset: InputAsset) -> None:
        """Remember that an input was found good."""
        if isinstance(asset.files, SealedFiles):
            self._known[_name(asset, asset.files)] = None
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _name(asset: InputAsset, files: SealedFiles) -> bytes:
    digest = hashlib.sha256()
    for part in (files.ciphertext, files.datatoken, files.nft, asset.publisher, asset.userdata):
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8))
        digest.update(content)
    return digest.digest()
