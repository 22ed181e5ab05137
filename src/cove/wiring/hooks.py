"""The site's own servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

from cove.access.deliveries import TOLD_SECONDS, given_up
from cove.access.proofs import ProofService, findings_of
from cove.access.webhooks import given_up_messages
from cove.core.errors import CoveError, SettingsWrong
from cove.crypto.box import KeyVault
from cove.crypto.keys import keccak, recover
from cove.hooks import policy, rbac
from cove.hooks.asking import Asker
from cove.hooks.notary import LANE, HttpProofs
from cove.ledgers.executed import ChainProofs
from cove.ports import Clock, Finding, Gate, ProofSink, Vault
from cove.settings import Settings
from cove.stores.database import sqlite_url
from cove.stores.deliveries import SqlDeliveryStore
from cove.stores.messages import SqlMessageStore
from cove.stores.proofs import SqlProofStore
from cove.stores.sql import SqlJobStore
from cove.wiring.chains import Connect
from cove.wiring.state import DATABASE_FILE


def open_gates(settings: Settings, vault: KeyVault, stack: AsyncExitStack) -> tuple[Gate, ...]:
    """Give the policies that must say yes; the stack lets go of their connections."""
    given = settings.hooks
    gates: list[Gate] = []
    if url := given.rbac_url.get_secret_value():
        asker = Asker(url, rbac.PART, timeout=given.timeout_seconds)
        gates.append(rbac.RbacGate(asker, vault.address, _signing(vault), access=given.rbac_access))
    if url := given.policy_url.get_secret_value():
        gates.append(policy.PolicyGate(Asker(url, policy.PART, timeout=given.timeout_seconds), vault.address))
    for gate in gates:
        stack.push_async_callback(gate.close)
    return tuple(gates)


def open_proofs(
    settings: Settings,
    vault: KeyVault,
    stack: AsyncExitStack,
    *,
    store: SqlJobStore,
    clock: Clock,
    connect: Connect,
) -> ProofService:
    """Give what keeps and delivers proofs of access; the stack lets go of its connections."""
    sinks: list[ProofSink] = []
    if url := settings.hooks.http_proof_url.get_secret_value():
        sinks.append(HttpProofs(url, _signing(vault), clock.now, timeout=settings.hooks.timeout_seconds))
    if settings.hooks.chain_proof:
        sinks += [
            ChainProofs(connect(chain), chain.id, vault, recover=recover, now=clock.now) for chain in settings.chains
        ]
    for sink in sinks:
        stack.push_async_callback(sink.close)
    return ProofService(SqlProofStore(store), sinks, clock)


async def undelivered_beside(settings: Settings, now: float) -> Sequence[Finding]:
    """Look at what was not delivered, in the state folder's database, while another process serves from it."""
    store = SqlJobStore(sqlite_url(settings.state_dir.absolute() / DATABASE_FILE))
    try:
        await store.start()
        counts = await SqlProofStore(store).counts()
        others = [
            *given_up_messages(await SqlMessageStore(store, (), lambda _: "").failed()),
            *given_up(await SqlDeliveryStore(store).failed(now - TOLD_SECONDS)),
        ]
    except CoveError:
        return ()  # the service itself says what is wrong with its database
    finally:
        await store.close()
    lanes = [f"chain:{chain.id}" for chain in settings.chains] if settings.hooks.chain_proof else []
    lanes += [LANE] if settings.hooks.http_proof_url.get_secret_value() else []
    return [*findings_of(counts, lanes), *others]


async def retry_proofs(settings: Settings) -> int:
    """Have every proof that was given up sent again, also beside a running service; give how many there were.

    Raises:
        SettingsWrong: There is no database yet, or it cannot be used.
        Unavailable: The database does not answer.
    """
    async with _store_beside(settings) as store:
        return await SqlProofStore(store).retry()


async def retry_webhooks(settings: Settings) -> int:
    """Have every message that was given up sent again, also beside a running service; give how many there were.

    Raises:
        SettingsWrong: There is no database yet, or it cannot be used.
        Unavailable: The database does not answer.
    """
    async with _store_beside(settings) as store:
        return await SqlMessageStore(store, (), lambda _: "").retry()


async def retry_deliveries(settings: Settings) -> int:
    """Have every delivery that was given up tried again, also beside a running service; give how many there were.

    Raises:
        SettingsWrong: There is no database yet, or it cannot be used.
        Unavailable: The database does not answer.
    """
    async with _store_beside(settings) as store:
        return await SqlDeliveryStore(store).retry()


@contextlib.asynccontextmanager
async def _store_beside(settings: Settings) -> AsyncIterator[SqlJobStore]:
    url = settings.database_url.get_secret_value()
    file = settings.state_dir.absolute() / DATABASE_FILE
    if not url and not file.exists():
        raise SettingsWrong(f"There is no database {file}.", hint="Check state_dir: cove serve makes it.")
    store = SqlJobStore(url or sqlite_url(file))
    try:
        await store.start()
        yield store
    finally:
        await store.close()


def _signing(vault: Vault) -> Callable[[str], str]:
    """Give the signature of texts as requests of the API are signed."""

    def sign(text: str) -> str:
        v, r, s = vault.sign_hash(keccak(text.encode()))
        return "0x" + (r + s + bytes((v,))).hex()

    return sign
