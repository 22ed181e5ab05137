"""Grants in the place of a chain: what was granted, and whose the assets are. It gives facts and judges nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from cove.core.asset import Asset
from cove.core.ddo import did_of
from cove.core.errors import NotFound, Unavailable
from cove.core.grant import GrantRecord, digest
from cove.core.order import ONE_DATATOKEN, GrantFacts, OrderStarted, Receipt
from cove.ledgers.abi import BadAnswer, checksum
from cove.ports import GrantStore, MetadataEvent, MetadataStore, NftFacts

WalletSigned = Callable[[str, bytes, bytes], Awaitable[bool]]
"""Says whether an address is a contract wallet, on a chain, that holds a signature of a digest for its own (ERC-1271).

It raises Unavailable where a chain that may know the wallet does not answer.
"""


class GrantLedger:
    """The assets of a catalogue and the grants for them, as ``cove.ports.Ledger`` describes it.

    The id of a grant is its digest, which is computed again from what is stored: a grant that was made for another
    provider, or was changed where it is kept, is unknown here.

    Args:
        grants: Keeps them.
        assets: The catalogue.
        chain_id: Under which the catalogue's assets are published.
        provider: The provider's account.
        keccak: keccak-256.
        recover: Gives the signer of a 32-byte digest from r, s, v (65 bytes), or None.
        now: Gives the Unix time.
        wallet_signed: Asked where an asset's owner did not sign with a key; None: there are no contract wallets.
    """

    def __init__(
        self,
        grants: GrantStore,
        assets: MetadataStore,
        chain_id: int,
        provider: str,
        *,
        keccak: Callable[[bytes], bytes],
        recover: Callable[[bytes, bytes], str | None],
        now: Callable[[], float],
        wallet_signed: WalletSigned | None = None,
    ) -> None:
        self.chain_id = chain_id
        self.charges_fees = False
        self._grants = grants
        self._assets = assets
        self._provider = provider
        self._keccak = keccak
        self._recover = recover
        self._now = now
        self._wallet_signed = wallet_signed

    async def receipt(self, tx_id: str) -> Receipt | None:
        """Give the facts of a grant; None when it is unknown here, or its asset or service is gone.

        Raises:
            Unavailable: Its owner may be a contract wallet of a chain that does not answer.
        """
        record = await self._grants.get(tx_id.lower())
        if record is None:
            return None
        made = digest(record.grant, self.chain_id, self._provider, self._keccak)
        if "0x" + made.hex() != record.id:
            return None
        asset = await self._found(record.grant.asset)
        if asset is None:
            return None
        return self._facts(record, asset, await self._signer(asset.publisher, made, record.signature))

    async def _signer(self, owner: str, made: bytes, signature: bytes) -> str:
        """Give who signed: the owner, where it is a contract wallet that says so."""
        signer = self._recover(made, signature) or ""
        if signer.lower() == owner.lower() or self._wallet_signed is None:
            return signer
        return owner if await self._wallet_signed(owner, made, signature) else signer

    def _facts(self, record: GrantRecord, asset: Asset, signer: str) -> Receipt | None:
        grant = record.grant
        service = asset.service(grant.service)
        if service is None:
            return None
        created = int(record.created_at)
        started = OrderStarted(
            address=service.datatoken,
            log_index=0,
            consumer=checksum(grant.consumer),
            payer=checksum(grant.consumer),
            amount=ONE_DATATOKEN,
            service_index=service.index,
            timestamp=created,
        )
        facts = GrantFacts(
            signer=signer,
            owner=asset.publisher,
            created_at=created,
            valid_until=grant.valid_until,
            runs=grant.runs,
            used=record.used,
            revoked=record.revoked_at is not None,
        )
        return Receipt(
            tx_id=record.id,
            succeeded=True,
            block_number=0,
            block_time=created,
            confirmations=1,
            sender=signer,
            orders=(started,),
            grant=facts,
        )

    async def nft(self, address: str) -> NftFacts | None:
        """Give the owner and the state of the asset that an address stands for; None when there is none."""
        asset = await self._asset_of(address)
        return None if asset is None else NftFacts(asset.publisher, asset.state)

    async def has_datatoken(self, nft: str, datatoken: str) -> bool:
        """Say whether a service of the asset names this datatoken."""
        asset = await self._asset_of(nft)
        return asset is not None and any(service.datatoken.lower() == datatoken.lower() for service in asset.services)

    async def token_decimals(self, token: str) -> int:
        """Say that there are no tokens.

        Raises:
            Unavailable: Always.
        """
        del token
        raise Unavailable(f"chain {self.chain_id}", "there are no tokens where orders are grants")

    async def head(self) -> tuple[int, int]:
        """Give block 0, now."""
        return 0, int(self._now())

    async def metadata_events(self, first_block: int, last_block: int) -> Sequence[MetadataEvent]:
        """Give none: assets stand in the catalogue."""
        del first_block, last_block
        return ()

    async def metadata_of_transaction(self, tx_id: str, nft: str) -> MetadataEvent | None:
        """Give none."""
        del tx_id, nft
        return None

    async def has_code(self, address: str) -> bool:
        """Say that there are no contracts."""
        del address
        return False

    async def valid_wallet_signature(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        """Say that there are no contract wallets."""
        del wallet, digest, signature
        return False

    async def call(self, to: str, data: bytes) -> bytes | None:
        """Give nothing, as where there is no contract."""
        del to, data
        return b""

    async def close(self) -> None:
        """Nothing is held: the stores belong to whoever made them."""

    async def _asset_of(self, nft: str) -> Asset | None:
        try:
            return await self._found(did_of(checksum(nft), self.chain_id))
        except BadAnswer:
            return None

    async def _found(self, did: str) -> Asset | None:
        try:
            return await self._assets.asset(did)
        except NotFound:
            return None
