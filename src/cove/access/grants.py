"""Grants on the owner's side: signs, lists and takes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cove.core.asset import Asset, Service
from cove.core.errors import Forbidden, NotFound
from cove.core.grant import MAX_RUNS, Grant, GrantRecord, SignedGrant, digest
from cove.core.messages import parse_address
from cove.crypto.keys import checksum
from cove.ports import GrantStore, MetadataStore


class Signing(Protocol):
    """The owner's account."""

    address: str

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are: r, s (32 bytes each) and v (27 or 28)."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be granted."""

    consumer: str
    did: str
    #: Id of the service; None takes the only one, or the only one of type compute.
    service: str | None
    #: Unix time.
    valid_until: int
    runs: int


class GrantDesk:
    """Makes, lists and takes back the grants for the assets of a catalogue.

    Args:
        grants: Keeps them.
        assets: The catalogue.
        chain_id: Under which its assets are published.
        provider: The provider's account.
        keccak: keccak-256.
        now: Gives the Unix time.
        new_salt: Gives 32 bytes that were never given before.
        wallet_signed: Says whether an account is a contract wallet that holds a signature of a digest for its own.
    """

    def __init__(
        self,
        grants: GrantStore,
        assets: MetadataStore,
        chain_id: int,
        provider: str,
        *,
        keccak: Callable[[bytes], bytes],
        now: Callable[[], float],
        new_salt: Callable[[], bytes],
        wallet_signed: Callable[[str, bytes, bytes], Awaitable[bool]],
    ) -> None:
        self._grants = grants
        self._assets = assets
        self._chain_id = chain_id
        self._provider = provider
        self._keccak = keccak
        self._now = now
        self._new_salt = new_salt
        self._wallet_signed = wallet_signed

    async def create(self, wish: Wish, owner: Signing) -> tuple[GrantRecord, SignedGrant]:
        """Sign a grant, keep it, and give it with what the consumer gets.

        Raises:
            NotFound: There is no such asset in the catalogue, or no such service of it.
            Forbidden: The account does not own the asset, or what is wished makes no sense.
            Invalid: The consumer's address or the DID is malformed.
            Unavailable: The owner may be a contract wallet of a chain that does not answer.
        """
        asset = await self._assets.asset(wish.did)
        now = self._now()
        if wish.valid_until <= now:
            raise Forbidden("A grant that has expired is worth nothing.", hint="Give a time to come.")
        if not 1 <= wish.runs <= MAX_RUNS:
            raise Forbidden(f"A grant is for 1 to {MAX_RUNS} runs.")
        grant = Grant(
            consumer=checksum(parse_address(wish.consumer, "consumer")),
            asset=asset.did.lower(),
            service=_service(asset, wish.service).id,
            valid_until=wish.valid_until,
            runs=wish.runs,
            salt=self._new_salt(),
        )
        made = digest(grant, self._chain_id, self._provider, self._keccak)
        signature = owner.sign_digest(made)
        by_key = asset.publisher.lower() == owner.address.lower()
        if not by_key and not await self._wallet_signed(asset.publisher, made, signature):
            raise Forbidden(
                f"{asset.did} belongs to {asset.publisher}, and the key is that of {owner.address}.",
                hint="Sign with the owner's key, or with one that the owner's contract wallet takes for its own.",
            )
        record = GrantRecord("0x" + made.hex(), grant, signature, now)
        await self._grants.add(record)
        return record, SignedGrant(grant, self._chain_id, self._provider, signature)

    async def list(self) -> Sequence[GrantRecord]:
        """Give all grants, the newest first."""
        return await self._grants.list()

    async def signed(self, grant_id: str) -> SignedGrant:
        """Give what the consumer of a grant gets.

        Raises:
            NotFound: There is no such grant.
        """
        record = await self._grants.get(grant_id.lower())
        if record is None:
            raise NotFound("There is no such grant.", hint="cove grant list shows those that there are.")
        return SignedGrant(record.grant, self._chain_id, self._provider, record.signature)

    async def revoke(self, grant_id: str) -> bool:
        """Take a grant back, for ever; False when it was taken back before. Jobs that run go on.

        Raises:
            NotFound: There is no such grant.
        """
        await self.signed(grant_id)
        return await self._grants.revoke(grant_id.lower(), self._now())


def _service(asset: Asset, wanted: str | None) -> Service:
    if wanted is not None:
        found = asset.service(wanted)
        if found is None:
            known = ", ".join(service.id for service in asset.services)
            raise NotFound(f"The asset has no service {wanted!r}.", hint=f"It has: {known}.")
        return found
    computing = [service for service in asset.services if service.type == "compute"] or list(asset.services)
    if len(computing) != 1:
        raise NotFound("The asset has several services.", hint="Name one as DID:SERVICE.")
    return computing[0]
