"""What ``cove publish``, ``unpublish`` and ``trust`` do, on a chain or in the catalogue's folder."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cove.cli.description import Described
from cove.cli.market_chain import chain_of, journal_file, show_cost, wallet_on
from cove.cli.output import say
from cove.client import Signer
from cove.client.journal import Journal, alone, done, once
from cove.client.market import AssetDraft, Encrypt, build_document, metadata_arguments, provider_encrypt
from cove.client.publishing import (
    REVOKED,
    creation,
    fingerprint,
    metadata_call,
    publish_once,
    put_document,
    state_call,
)
from cove.client.trusting import approval, published_document, until_shown
from cove.client.wallet import MarketError, Wallet
from cove.core.errors import Forbidden, SettingsWrong
from cove.crypto.keys import checksum
from cove.metadata.folder import FolderMetadata, write_asset
from cove.settings import Settings
from cove.wiring.state import open_vault

Change = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""Gives a changed DDO; None where there is nothing to change."""

_GET_METADATA: Final = "(string,string,uint8,bool)"
_ADDRESS_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Where:
    """Where a command works, and for whom."""

    settings: Settings
    signer: Signer
    #: Without a chain, in the catalogue's folder.
    local: bool
    #: None takes the only one of the settings.
    chain: int | None
    dry_run: bool
    as_json: bool

    @property
    def provider(self) -> str:
        """Give the base URL of the provider that the settings describe."""
        listen = self.settings.listen
        return (listen.public_url or f"http://{listen.host}:{listen.port}").rstrip("/")

    @property
    def folder(self) -> Path:
        """Give the catalogue's folder.

        Raises:
            SettingsWrong: There is none.
        """
        folder = self.settings.catalog.folder
        if folder is None:
            raise SettingsWrong("There is no catalogue to publish in.", hint="Set catalog.folder to a folder.")
        return folder.absolute()


async def publish(where: Where, kind: Literal["dataset", "algorithm"], file: Path) -> dict[str, Any] | None:
    """Publish what a file describes, and give its DID and addresses; None after a dry run.

    Raises:
        DescriptionWrong: Something in the file is wrong.
        SettingsWrong: There is no such chain, no catalogue or no key.
        MarketError: The chain or a provider refused.
    """
    described = Described(file, kind)
    provider = described.body.provider or where.provider
    approvals = {did: await approval(provider, did) for did in sorted(described.trusted)}
    draft = described.draft(where.provider, approvals)
    with alone(described.folder):
        if where.local:
            return await _publish_local(where, described, draft)
        return await _publish_on_chain(where, described, draft)


async def withdraw(where: Where, did: str) -> bool | None:
    """Set an asset's state to revoked; False when it was before, None after a dry run."""
    if where.local:
        document, state = _owned(where, did)
        if state == REVOKED:
            return False
        if where.dry_run:
            return None
        write_asset(where.folder, document, where.signer.address, REVOKED)
        return True
    async with _on_chain(where, "unpublish", did) as (wallet, journal):
        nft = await _nft_of(where, did)
        _, _, state, _ = await wallet.call(nft, "getMetaData()", [], _GET_METADATA)
        if state == REVOKED and not journal.begun():
            return False
        call = state_call(nft, REVOKED)
        if where.dry_run:
            await show_cost(wallet, [call], [], as_json=where.as_json)
            return None
        await once(wallet, journal, "state", call)
        await _until_shown(where, did, None)
        journal.remove()
        return True


async def change(where: Where, did: str, make: Change) -> dict[str, Any] | None:
    """Change an asset's DDO, and give the new one; None where nothing changes, or after a dry run."""
    if where.local:
        document, state = _owned(where, did)
        changed = await make(document)
        if changed is None or where.dry_run:
            return None
        write_asset(where.folder, changed, where.signer.address, state)
        return changed
    async with _on_chain(where, "change", did) as (wallet, journal):
        pending = journal.fact("document")
        if isinstance(pending, dict) and not where.dry_run:  # an earlier run was ended in the middle of its change
            await _put(where, wallet, journal, pending)
        changed = await make(pending if isinstance(pending, dict) else await published_document(where.provider, did))
        if changed is None:
            return pending if isinstance(pending, dict) else None
        if where.dry_run:
            arguments = await metadata_arguments(
                wallet.address, json.dumps(changed).encode(), _encrypt(changed), url=""
            )
            await show_cost(wallet, [metadata_call(changed["nftAddress"], arguments)], [], as_json=where.as_json)
            return None
        journal.note("document", changed)
        await _put(where, wallet, journal, changed)
        return changed


async def _put(where: Where, wallet: Wallet, journal: Journal, document: dict[str, Any]) -> None:
    """Put a changed DDO on chain, and wait until the provider shows it.

    The next change begins with what the provider shows: it would undo this one, or pay for it once more.
    """
    await put_document(wallet, journal, document, _encrypt(document))
    await _until_shown(where, str(document["id"]), document)
    journal.remove()


async def _until_shown(where: Where, did: str, document: dict[str, Any] | None) -> None:
    if not await until_shown(where.provider, did, document):
        say("The change is on chain, and the provider does not show it yet: look at it before the next change.")


async def current_document(where_settings: Settings, provider: str, did: str, *, local: bool) -> dict[str, Any]:
    """Give an asset's DDO as it is published now."""
    if not local:
        return await published_document(provider, did)
    folder = where_settings.catalog.folder
    if folder is None:
        raise SettingsWrong("There is no catalogue to look in.", hint="Set catalog.folder to a folder.")
    store = FolderMetadata(folder.absolute(), where_settings.catalog.chain_id, checksum)
    body: dict[str, Any] = json.loads(store.read(did).document)
    return body


def _encrypt(document: Mapping[str, Any]) -> Encrypt:
    return provider_encrypt(str(document["services"][0]["serviceEndpoint"]), int(document["chainId"]))


async def _publish_local(where: Where, described: Described, draft: AssetDraft) -> dict[str, Any] | None:
    if described.price.kind != "none":
        raise described.wrong(("price",), "nothing is sold without a chain: leave price out, and give grants")
    chain_id, owner = where.settings.catalog.chain_id, where.signer.address
    purpose = {"account": owner, "chain": chain_id, "file": described.path.name}
    journal = Journal(described.path.with_name(f".{described.path.name}.local.json"), purpose)
    folder, vault = where.folder, open_vault(where.settings)
    if where.dry_run:
        return None
    if journal.fact("nft") is None:
        made = [checksum("0x" + secrets.token_hex(_ADDRESS_BYTES)) for _ in range(2)]
        journal.note("datatoken", made[1])
        journal.note("nft", made[0])
    nft, datatoken = str(journal.fact("nft")), str(journal.fact("datatoken"))

    async def encrypt(plain: bytes) -> str:
        return "0x" + vault.encrypt(plain).hex()

    kept = journal.fact("document")
    mark = fingerprint(draft)
    if not isinstance(kept, Mapping) or kept.get("mark") != mark:
        document = await build_document(chain_id, nft, datatoken, draft, encrypt)
        write_asset(folder, document, owner, 0)
        journal.note("document", {"mark": mark, "did": document["id"]})
    return {"did": journal.fact("document")["did"], "nft": nft, "datatoken": datatoken, "chain": chain_id}


async def _publish_on_chain(where: Where, described: Described, draft: AssetDraft) -> dict[str, Any] | None:
    chain = chain_of(where.settings, where.chain)
    purpose = {"account": where.signer.address, "chain": chain.id, "file": described.path.name}
    journal = Journal(described.path.with_name(f".{described.path.name}.{chain.id}.json"), purpose)
    encrypt = provider_encrypt(draft.services[0].endpoint, chain.id)
    async with wallet_on(chain, where.signer) as wallet:
        if where.dry_run:
            await _show(where, wallet, journal, chain.factory, draft, described, encrypt)
            return None
        published = await publish_once(wallet, journal, chain.factory, draft, described.price, encrypt)
    return {
        "did": published.did,
        "nft": published.nft,
        "datatoken": published.datatoken,
        "chain": chain.id,
        "transaction": published.tx_id,
    }


async def _show(  # noqa: PLR0917 - each once
    where: Where,
    wallet: Wallet,
    journal: Journal,
    factory: str,
    draft: AssetDraft,
    described: Described,
    encrypt: Encrypt,
) -> None:
    """Show what publishing takes, without the steps that were done before."""
    made = await done(wallet, journal, "asset", send=False)
    calls = [] if made is not None else [await creation(wallet, factory, draft.name, described.price)]
    sample = await build_document(await wallet.chain_id(), factory, factory, draft, encrypt)
    arguments = await metadata_arguments(wallet.address, json.dumps(sample).encode(), encrypt, url="")
    kept = journal.fact("document")
    if not isinstance(kept, Mapping) or kept.get("mark") != fingerprint(draft):
        calls.append(metadata_call(factory, arguments))
    await show_cost(wallet, calls, [], as_json=where.as_json)


@contextlib.asynccontextmanager
async def _on_chain(where: Where, what: str, did: str) -> AsyncIterator[tuple[Wallet, Journal]]:
    chain = chain_of(where.settings, where.chain)
    path = journal_file(what, did, chain.id, where.signer.address)
    with alone(path.parent):
        journal = Journal(path, {"account": where.signer.address, "chain": chain.id, "asset": did})
        async with wallet_on(chain, where.signer) as wallet:
            yield wallet, journal


async def _nft_of(where: Where, did: str) -> str:
    try:
        return str((await published_document(where.provider, did))["nftAddress"])
    except MarketError:
        raise MarketError(
            f"The provider at {where.provider} does not show {did}, so that its NFT is not known."
        ) from None


def _owned(where: Where, did: str) -> tuple[dict[str, Any], int]:
    """Give the DDO and the state of an asset of the catalogue that is the account's own.

    Raises:
        NotFound: There is no such asset.
        Forbidden: It belongs to another account.
    """
    store = FolderMetadata(where.folder, where.settings.catalog.chain_id, checksum)
    asset = store.read(did)
    if asset.publisher.lower() != where.signer.address.lower():
        raise Forbidden(
            f"{did} belongs to {asset.publisher}, and the key is that of {where.signer.address}.",
            hint="Use the owner's key.",
        )
    return json.loads(asset.document), asset.state
