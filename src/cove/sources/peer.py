"""Files of services at other providers, downloaded with this provider's own account. The signed URLs are secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from cove.core import messages
from cove.core.errors import DataMissing
from cove.core.files import FileFacts, FileObject, PeerFile
from cove.core.peers import download_url, next_nonce
from cove.sources.http_exchange import Request
from cove.sources.providers import OtherProviders
from cove.sources.url import SourceRefusal, UrlReader, UrlSource

_KIND: Final = "peer"
_TRIES: Final = 3
_MAY_BE_THE_NONCE: Final = frozenset({400, 401})
"""What providers answer to a nonce that was used; another service with our key may have been quicker."""
_PATIENCE_SECONDS: Final = 300.0
"""To wait until other downloads have begun at the same provider, before this one fails."""


class PeerSource:
    """Downloads files of type ``peer``.

    Args:
        web: Fetches them, behind the address guard.
        providers: Asks other providers.
        account: This provider's own account, which orders name as their consumer.
        sign: Signs a text with that account, as clients do; ``0x`` hex.
        now: Gives the Unix time in seconds.
    """

    def __init__(
        self,
        web: UrlSource,
        providers: OtherProviders,
        *,
        account: str,
        sign: Callable[[str], str],
        now: Callable[[], float],
    ) -> None:
        self._web = web
        self._providers = providers
        self._account = account
        self._sign = sign
        self._now = now
        self._last = 0
        self._guard = Lock()
        #: By provider, while one is asked: nonces must reach it in the order in which they grow.
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    def info(self, file: FileObject) -> FileFacts:
        """Look at a file, which its provider describes without a signature. See ``cove.ports``."""
        if isinstance(file, PeerFile):
            with contextlib.suppress(DataMissing):
                listed = self._providers.files(file.provider, file.did, file.service_id)
                if file.index < len(listed):
                    return replace(listed[file.index], type=_KIND)
        return FileFacts(valid=False, type=_KIND)

    def open(self, file: FileObject, offset: int = 0) -> UrlReader:
        """Open a file with a signature and a nonce of its own. See ``cove.ports``."""
        if not isinstance(file, PeerFile):
            raise DataMissing("The file is not at another provider.")
        with self._turn(file.provider):
            for _ in range(_TRIES - 1):
                try:
                    return self._fetch(file, offset)
                except SourceRefusal as problem:
                    if problem.status not in _MAY_BE_THE_NONCE:
                        raise
            return self._fetch(file, offset)

    def path(self, file: FileObject) -> Path | None:
        """Give None: these files are fetched."""
        del file
        return None

    def fingerprint(self, file: FileObject) -> str | None:
        """Give None: the bytes are hashed."""
        del file
        return None

    def _fetch(self, file: PeerFile, offset: int) -> UrlReader:
        nonce = self._nonce(self._providers.last_nonce(file.provider))
        signature = self._sign(messages.download(file.did, str(nonce)))
        url = download_url(file, account=self._account, nonce=nonce, signature=signature)
        return self._web.fetch(Request(url, "GET"), offset)

    def _nonce(self, told: int) -> int:
        with self._guard:
            nonce = next_nonce(int(self._now() * 1_000_000), self._last, told)
            if nonce is None:
                raise DataMissing("The other provider claims nonces of this provider's account that were never used.")
            self._last = nonce
        return nonce

    @contextlib.contextmanager
    def _turn(self, provider: str) -> Iterator[None]:
        """Hold the one turn at a provider, until the headers of its answer are there."""
        with self._guard:
            turn = self._turns.setdefault(provider, Lock())
        if not turn.acquire(timeout=_PATIENCE_SECONDS):
            raise DataMissing("The other provider was busy with other downloads.")
        try:
            yield
        finally:
            turn.release()
