"""Puts the routes together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

import cove
from cove.core.errors import BadSignature, CoveError
from cove.web import auth, documentation
from cove.web.callers import Counted, Proxied
from cove.web.errors import LastResort, on_cove_error, on_http_error
from cove.web.routes import access, assets, compute, download, livelogs, results, root, tokens
from cove.wiring import Cove


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
    for part in (compute, results, livelogs, download, root, access, assets, tokens):
        app.router.routes.extend(part.routes(house).routes)
    documentation.complete(app.openapi())
    return app


class OneSlash:
    """Takes ``//api/..`` for ``/api/..``: ocean.js up to 3.2 joins its paths so when a base URL ends with a slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith("//"):
            scope["path"] = "/" + scope["path"].lstrip("/")
        await self._app(scope, receive, send)
