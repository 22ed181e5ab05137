"""What a Cove is once it is built: every part, each in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cove.access.catalog import Catalog
from cove.access.deliveries import DeliveryService
from cove.access.downloads import DownloadService
from cove.access.limits import Limits
from cove.access.proofs import ProofService
from cove.access.reviews import ReviewService
from cove.access.service import AccessService
from cove.access.wallets import Wallets
from cove.access.webhooks import WebhookService
from cove.core.environment import Environment
from cove.core.errors import Unavailable
from cove.core.forwarding import Network
from cove.crypto.handles import Handles
from cove.crypto.tokens import Tokens
from cove.jobs.livelogs import LiveLogs
from cove.jobs.parts import Parts
from cove.jobs.reconciler import Reconciler
from cove.jobs.service import JobService
from cove.ports import Clock, Finding, Ledger, NonceStore, TokenStore, Vault


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the web layer needs of the settings."""

    public_status: bool
    #: Bytes.
    max_body: int
    #: Seconds.
    link_seconds: int
    cors_origins: tuple[str, ...]
    #: Whose ``X-Forwarded-..`` headers are believed.
    trusted_proxies: tuple[Network, ...]
    #: Seconds that results are kept; 0 for ever.
    storage_expiry: int = 0


@dataclass(frozen=True, slots=True)
class Cove:
    """A house with everything in its place."""

    jobs: JobService
    live_logs: LiveLogs
    access: AccessService
    catalog: Catalog
    downloads: DownloadService
    proofs: ProofService
    reviews: ReviewService
    webhooks: WebhookService
    deliveries: DeliveryService
    reconciler: Reconciler
    parts: Parts
    vault: Vault
    nonces: NonceStore
    tokens: Tokens
    handles: Handles
    revoked: TokenStore
    wallets: Wallets
    limits: Limits
    environments: tuple[Environment, ...]
    chain_ids: tuple[int, ...]
    clock: Clock
    #: Empty: what a request was addressed to.
    public_url: str
    options: ServiceOptions

    async def examine(self) -> Sequence[Finding]:
        """Look at every part."""
        findings: list[Finding] = []
        for engine in self.parts.engines.values():
            findings.extend(await engine.examine())
        findings.extend(await self.parts.store.examine())
        findings.extend(await self.parts.results.examine())
        findings.extend(await self.parts.policies.examine())
        findings.extend(await self.parts.inspector.examine())
        findings.extend(await self.proofs.examine())
        findings.extend(await self.webhooks.examine())
        findings.extend(await self.deliveries.examine())
        if self.parts.payments is not None:
            findings.extend(await self.parts.payments.examine())
        chains = [ledger for ledger in self.parts.ledgers.values() if ledger.charges_fees]
        findings.extend([await _chain_finding(ledger) for ledger in chains])
        findings.extend(await self.catalog.findings())
        return findings


async def _chain_finding(ledger: Ledger) -> Finding:
    part = f"chain {ledger.chain_id}"
    try:
        block, _ = await ledger.head()
    except Unavailable as problem:
        return Finding(part, ok=False, seen=problem.message, advice="Check chains.rpc in the settings and the node.")
    return Finding(part, ok=True, seen=f"answers, newest block {block}")
