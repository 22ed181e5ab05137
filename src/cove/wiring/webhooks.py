"""Messages about jobs: where they go, and who brings them."""

from __future__ import annotations

import hashlib
from typing import Final

from cove.access.webhooks import WebhookParts, WebhookService
from cove.core.job import Job, JobId, Webhook
from cove.core.webhook import body_of
from cove.core.weburl import own_mark
from cove.jobs.steps import unpack
from cove.ports import Clock, Vault
from cove.settings import Settings
from cove.sources.guard import AddressGuard
from cove.sources.posting import GuardedPoster
from cove.stores.messages import SqlMessageStore
from cove.stores.sql import SqlJobStore
from cove.wire import status_of

_SECONDS: Final = 15.0


def open_webhooks(settings: Settings, store: SqlJobStore, vault: Vault, clock: Clock) -> WebhookService:
    """Give what tells the owner's places, and those that consumers named, of jobs; from now on they are told."""
    given = settings.webhooks
    places = {
        _target(entry.url.get_secret_value()): Webhook(entry.url.get_secret_value(), entry.secret.get_secret_value())
        for entry in given.endpoints
    }
    mark = own_mark(vault.address)

    def written(job: Job) -> str:
        return body_of(job, status_of(job)[0], clock.now())

    async def named(job_id: JobId) -> Webhook | None:
        return unpack(vault.unseal(await store.package(job_id))).webhook

    return WebhookService(
        WebhookParts(
            store=SqlMessageStore(store, tuple(places), written),
            clock=clock,
            places=places,
            to_places=GuardedPoster(AddressGuard(given.allowed), seconds=_SECONDS, mark=mark),
            to_consumers=GuardedPoster(AddressGuard(given.allowed_to_consumers), seconds=_SECONDS, mark=mark),
            named=named,
        )
    )


def _target(url: str) -> str:
    """Name a place without its URL, which may hold a secret."""
    return f"owner:{hashlib.sha256(url.encode()).hexdigest()[:16]}"
