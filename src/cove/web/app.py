"""Puts the routes together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

import cove
from cove import wire
from cove.core.errors import BadSignature, CoveError
from cove.core.weburl import own_mark
from cove.web import auth, documentation
from cove.web.callers import Counted, Proxied
from cove.web.errors import LastResort, json_answer, on_cove_error, on_http_error
from cove.web.routes import (
    access,
    assets,
    catalog,
    compute,
    download,
    livelogs,
    oceannode,
    oceannodetokens,
    results,
    reviews,
    root,
    tokens,
)
from cove.wiring.house import Cove

_LOOKS_OUTSIDE = frozenset(
    f"{wire.API_PREFIX}/{name}"
    for name in ("initialize", "initializeCompute", "fileinfo", "download", "compute", "freeCompute")
)


def create_app(house: Cove) -> FastAPI:
    """Make the web application of a Cove.

    Args:
        house: Open for as long as the application serves.
    """
    app = FastAPI(
        title="Cove",
        version=cove.__version__,
        summary="Runs algorithms on private data; only checked results leave.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    app.add_exception_handler(CoveError, on_cove_error)
    app.add_exception_handler(BadSignature, auth.count_failures(house.limits))
    app.add_exception_handler(HTTPException, on_http_error)
    # From the inside out: what is refused for its number gets CORS headers too, and preflights never come that far.
    app.add_middleware(NoLoop, mark=own_mark(house.vault.address))
    app.add_middleware(LastResort)
    app.add_middleware(Counted, limits=house.limits)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(house.options.cors_origins),
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Content-Disposition", "Content-Range", "ETag", "Retry-After"],
    )
    app.add_middleware(OneSlash)
    app.add_middleware(Proxied, trusted=house.options.trusted_proxies)
    for part in (
        *(compute, results, livelogs, download, root, access, assets, catalog, tokens, reviews),
        *(oceannode, oceannodetokens),
    ):
        app.router.routes.extend(part.routes(house).routes)
    documentation.complete(app.openapi())
    return app


class NoLoop:
    """Refuses what this very provider asks of itself where it would go on to look outside (section 6.4 of the API).

    A file whose URL is such an endpoint would make a request wait for another one, which waits for its turn behind it.

    Args:
        app: What stands behind it.
        mark: What our own requests have in ``Via``.
    """

    def __init__(self, app: ASGIApp, mark: str) -> None:
        self._app = app
        self._mark = mark.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in _LOOKS_OUTSIDE and any(
            name == b"via" and self._mark in value for name, value in scope["headers"]
        ):
            body = {"error": "A file of this provider's may not lie behind its own API.", "code": "loop"}
            await json_answer(body, 400)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class OneSlash:
    """Takes ``//api/..`` for ``/api/..``: ocean.js up to 3.2 joins its paths so when a base URL ends with a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith("//"):
            scope["path"] = "/" + scope["path"].lstrip("/")
        await self._app(scope, receive, send)
