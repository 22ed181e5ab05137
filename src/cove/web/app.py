"""Puts the routes together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import cove
from cove.core.errors import CoveError
from cove.web.errors import on_bug, on_cove_error, on_http_error
from cove.web.routes import access, compute, results, root
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
    )
    app.add_exception_handler(CoveError, on_cove_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(house.options.cors_origins),
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["Content-Disposition", "Content-Range", "ETag"],
    )
    for part in (compute, results, root, access):
        app.include_router(part.routes(house))
    return app
