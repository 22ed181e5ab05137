"""Access services: what an order of one costs, and the files that a good order opens."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from cove.core.consent import Action, Question
from cove.core.errors import DataMissing, Refused, Unavailable
from cove.core.files import FileFacts, FileObject
from cove.core.job import InputAsset, SealedFiles
from cove.core.order import Order
from cove.core.parameters import fill
from cove.core.trust import may_consume
from cove.jobs import provisioning, quotes
from cove.jobs.consent import consent, wanted
from cove.jobs.orders import Priced, find_asset, verify
from cove.jobs.parts import Parts
from cove.jobs.requests import Quote
from cove.sources import source_for

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One file of an access service; whoever asks for its bytes has proven to be ``consumer``."""

    #: Checksummed.
    consumer: str
    did: str
    service_id: str
    #: From 0; None where none is named, which means the first.
    index: int | None
    #: None where no order is named.
    order_tx: str | None
    #: JSON object of the consumer's own parameters, as text.
    userdata: str = "{}"
    #: What the caller says to the site's policy server, JSON text; empty for nothing.
    passed_on: str = ""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that a good order opens."""

    facts: FileFacts
    #: Strong validator, without quotes; empty where the source has none.
    etag: str
    order: Order
    file: FileObject
    #: Chain of the asset.
    chain_id: int


class DownloadService:
    """Quotes and serves the files of access services.

    Args:
        parts: What the house is made of.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def initialize(self, request: FileRequest, valid_until: int) -> Quote:
        """Say what an order of the service needs: the provider's fee, or nothing where the named order is still good.

        Args:
            request: What is wanted.
            valid_until: Unix time until which the fee is signed; 0 for one that does not end.

        Raises:
            Refused: The asset, the service or the file is not there, or not for this consumer.
            Invalid: The site's policy says no.
            Forbidden: The site's policy says no.
            TooMany: Too many questions to the site's policy are open.
            Unavailable: The chain, or the site's policy, does not answer.
        """
        item = await self._priced(request)
        # What the consumer must give is asked for when the file is fetched; a quote may come before it is known.
        wishes = [replace(parameter, required=False) for parameter in item.service.parameters]
        request = replace(request, userdata=fill(wishes, request.userdata, "userdata"))
        file = await self._file(item, request)
        await self._consent(Action.INITIALIZE, item, request)
        source = source_for(file, self._parts.sources)
        if not (await self._parts.looks.run(lambda: source.info(file))).valid:
            raise Refused("fileIndex", "file_unavailable", hint="The provider cannot reach the file now.")
        if item.order_tx is not None:
            try:
                await verify(self._parts, request.consumer, item, None)
            except Refused:
                item = Priced(item.field, item.asset, item.service, None)
            else:
                return Quote(item.service.datatoken, None, item.order_tx)
        fee = await quotes.signed_access_fee(self._parts, item, valid_until)
        return Quote(item.service.datatoken, fee, None)

    async def open(self, request: FileRequest) -> OpenFile:
        """Give the file that an order pays for.

        Raises:
            Refused: ``serviceId: order_invalid`` and what else speaks against it.
            Invalid: The site's policy says no.
            Forbidden: The site's policy says no.
            Unavailable: The chain, the site's policy, or the file's source does not answer.
        """
        item = await self._priced(request)
        order = await verify(self._parts, request.consumer, item, None)
        await self._consent(Action.DOWNLOAD, item, request)
        request = replace(request, userdata=fill(item.service.parameters, request.userdata, "userdata"))
        file = await self._file(item, request)
        source = source_for(file, self._parts.sources)
        facts = await asyncio.to_thread(source.info, file)
        if not facts.valid:
            raise self._gone(request)
        try:
            fingerprint = await asyncio.to_thread(source.fingerprint, file)
        except DataMissing:
            raise self._gone(request) from None
        etag = hashlib.sha256(fingerprint.encode()).hexdigest()[:32] if fingerprint else ""
        return OpenFile(facts, etag, order, file, item.asset.chain_id)

    async def read(
        self, request: FileRequest, opened: OpenFile, offset: int, length: int | None
    ) -> AsyncIterator[bytes]:
        """Give a stretch of a file in chunks; each is read in a thread, so that a slow client holds none.

        Args:
            request: What :meth:`open` was given.
            opened: What it gave.
            offset: Bytes to leave out.
            length: Bytes to give at the most; None for all.

        Raises:
            Unavailable: The source does not give the file.
        """
        source = source_for(opened.file, self._parts.sources)
        try:
            reader = await asyncio.to_thread(source.open, opened.file, offset)
        except DataMissing:
            raise self._gone(request) from None
        left = length
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while left is None or left > 0:
                wanted = buffer if left is None else buffer[: min(left, _CHUNK)]
                count = await asyncio.to_thread(reader.readinto, wanted)
                if count == 0:
                    return
                left = None if left is None else left - count
                yield bytes(wanted[:count])
        except DataMissing:
            raise self._gone(request) from None
        finally:
            reader.close()

    async def _consent(self, action: Action, item: Priced, request: FileRequest) -> None:
        asked = wanted(item, request.index or 0) if action is Action.DOWNLOAD else wanted(item)
        await consent(self._parts, Question(action, request.consumer, (asked,), passed_on=request.passed_on))

    async def _priced(self, request: FileRequest) -> Priced:
        asset = await find_asset(self._parts, request.did, "")
        service = asset.service(request.service_id)
        if service is None:
            raise Refused("serviceId", "not_found")
        may_consume(asset, request.consumer)
        if service.type == "compute":
            raise Refused("serviceId", "compute_service", hint="Use initializeCompute, and start a job.")
        if service.type != "access":
            raise Refused("serviceId", "service_not_access_compute")
        return Priced("", asset, service, request.order_tx)

    async def _file(self, item: Priced, request: FileRequest) -> FileObject:
        sealed = SealedFiles(item.service.files, item.service.datatoken, item.asset.nft)
        given = InputAsset(
            item.asset.did, item.service.id, sealed, userdata=request.userdata, publisher=item.asset.publisher
        )
        try:
            listed = await asyncio.to_thread(provisioning.open_files, self._parts, given)
        except DataMissing as problem:
            raise Refused("serviceId", "files_unusable", hint=problem.message) from None
        index = request.index or 0
        if index >= len(listed.files):
            raise Refused("fileIndex", "out_of_range", hint=f"The service has {len(listed.files)} files, from 0.")
        return listed.files[index]

    def _gone(self, request: FileRequest) -> Unavailable:
        part = f"file {request.index or 0}"
        return Unavailable(part, f"{part} of the service cannot be had from its source now")
