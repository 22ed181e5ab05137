"""HTTP clients that are ready soon: whoever speaks to a plain ``http`` URL reads no certificate authorities."""

from __future__ import annotations

import ssl
from functools import lru_cache

import httpx2


def client_for(url: str, *, timeout: float) -> httpx2.AsyncClient:
    """Give a client for one server; it takes nothing from the environment and follows no redirect.

    Args:
        url: Of the server.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer.
    """
    return httpx2.AsyncClient(
        trust_env=False, timeout=timeout, verify=_trusting() if url.startswith("https:") else _nobody()
    )


@lru_cache(maxsize=1)
def _trusting() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


def _nobody() -> ssl.SSLContext:
    """Trust nobody: what is spoken in the clear has no use for it, and to read the authorities takes long."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
