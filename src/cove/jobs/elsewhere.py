"""Services whose files another provider keeps: found out, quoted, and listed when a job's data is brought."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from cove.core.errors import CoveError, DataMissing, Refused
from cove.core.fees import SignedFee
from cove.core.job import InputAsset, PeerFiles, SealedFiles
from cove.core.peers import MAX_PEER_SERVICES, check_fetchable
from cove.jobs import provisioning
from cove.jobs.orders import Priced
from cove.jobs.parts import Parts


def locate(parts: Parts, item: Priced, given: InputAsset, *, main: bool) -> tuple[Priced, InputAsset]:
    """See that a service's files can be had: its list opens with our key, or another provider gives them to us.

    Args:
        parts: The house.
        item: The service.
        given: The same as an input of the job, with its sealed list.
        main: True for the dataset that the job is about.

    Raises:
        Refused: Under ``<field>.serviceId``: the files are another provider's and may not be, or its address is none.
        DataMissing: The list is encrypted to us and cannot be used.
    """
    if given in parts.opened:
        return item, given
    try:
        provisioning.open_files(parts, given)
    except provisioning.SealedToAnother:
        place = item.under("serviceId")
        ours = _ours(parts, item)
        base = check_fetchable(item.asset, item.service, place, own=parts.public_url, ours=ours, main=main)
        return replace(item, elsewhere=True), replace(given, files=PeerFiles(base, item.order_tx or ""))
    parts.opened.add(given)
    return item, given


def check_count(items: list[Priced]) -> None:
    """Return when a request names no more services of other providers than may be asked about.

    Raises:
        Refused: ``too_many_providers``.
    """
    elsewhere = [item for item in items if item.elsewhere]
    if len(elsewhere) > MAX_PEER_SERVICES:
        hint = f"At most {MAX_PEER_SERVICES} services of a job may be at other providers."
        raise Refused(elsewhere[-1].under("serviceId"), "too_many_providers", hint=hint)


async def fee_of(parts: Parts, item: Priced, given: InputAsset, until: int) -> SignedFee:
    """Give what an order of a service at another provider must pay to that provider.

    Raises:
        Refused: ``provider_unavailable``: it does not answer, or refuses.
        TooMany: Other providers are being asked already.
    """
    provider = given.files.provider if isinstance(given.files, PeerFiles) else ""
    try:
        return await asyncio.to_thread(
            parts.peers.fee, provider, given.did, given.service_id, until=until, userdata=given.userdata
        )
    except DataMissing as problem:
        hint = f"The service is at another provider: {problem.message}"
        raise Refused(item.under("serviceId"), "provider_unavailable", hint=hint) from None


def _ours(parts: Parts, item: Priced) -> frozenset[str]:
    """Give the ids of an asset's services whose lists are encrypted to us; what is in them does not matter here."""
    found = set()
    for service in item.asset.services:
        sealed = SealedFiles(service.files, service.datatoken, item.asset.nft)
        try:
            provisioning.open_files(parts, InputAsset(item.asset.did, service.id, sealed))
        except provisioning.SealedToAnother:
            continue
        except CoveError:
            pass
        found.add(service.id)
    return frozenset(found)
