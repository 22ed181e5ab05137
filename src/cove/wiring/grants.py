"""Opens the grants of a site beside its service, which may be running."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator

from cove.access.grants import GrantDesk
from cove.core.errors import SettingsWrong
from cove.crypto.keys import checksum, keccak
from cove.metadata.folder import FolderMetadata
from cove.settings import Settings
from cove.stores.database import sqlite_url
from cove.stores.grants import SqlGrantStore
from cove.stores.sql import SqlJobStore
from cove.wiring.chains import Connect, connect_http, open_ledger, wallet_check
from cove.wiring.state import DATABASE_FILE, open_vault, prepare_state


@contextlib.asynccontextmanager
async def open_grants(settings: Settings, connect: Connect = connect_http) -> AsyncIterator[GrantDesk]:
    """Open the grants; the state folder and the database are made where they are not there yet.

    Raises:
        SettingsWrong: There is no catalogue, no key, or no database that can be used.
        Unavailable: The database does not answer.
    """
    catalog = settings.catalog
    if catalog.folder is None:
        raise SettingsWrong(
            "There is no catalogue: grants are for assets without a chain.",
            hint="Set catalog.folder to a folder, and publish there with cove publish --local.",
        )
    vault = open_vault(settings)
    url = settings.database_url.get_secret_value() or sqlite_url(prepare_state(settings.state_dir) / DATABASE_FILE)
    store = SqlJobStore(url)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        await store.start()
        ledgers = [open_ledger(chain, connect) for chain in settings.chains]
        for ledger in ledgers:
            stack.push_async_callback(ledger.close)
        yield GrantDesk(
            SqlGrantStore(store),
            FolderMetadata(catalog.folder.absolute(), catalog.chain_id, checksum),
            catalog.chain_id,
            vault.address,
            keccak=keccak,
            now=time.time,
            new_salt=lambda: secrets.token_bytes(32),
            wallet_signed=wallet_check(ledgers),
        )
