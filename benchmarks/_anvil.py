"""A chain behind HTTP: anvil, as ``tests/compat/install.sh`` brings it, or else the one in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from _parts import free_port, wait_for
from eth_account import Account

from cove.ledgers.devchain import DevChain
from cove.ledgers.rpc import HttpRpc

CHAIN_ID = 8996
_ANVIL = Path(__file__).parent.parent / "tests" / "compat" / "node_modules" / ".bin" / "anvil"
_WORDS = "test test test test test test test test test test test junk"


@dataclass(frozen=True)
class Chain:
    """A development chain."""

    name: str
    url: str
    #: Private keys of accounts with ether.
    keys: tuple[str, ...]


@contextlib.contextmanager
def chain() -> Iterator[Chain]:
    """Serve a chain, and say which one it is."""
    if _ANVIL.exists() and shutil.which("node"):
        with _anvil() as made:
            yield made
        return
    print("anvil is not there (tests/compat/install.sh brings it): the chain in this process takes its place")
    made_here = DevChain()
    with served(made_here) as url:
        yield Chain("the chain in this process", url, tuple(account.private_key for account in made_here.accounts))


@contextlib.contextmanager
def _anvil() -> Iterator[Chain]:
    Account.enable_unaudited_hdwallet_features()
    keys = tuple(
        Account.from_mnemonic(_WORDS, account_path=f"m/44'/60'/0'/0/{number}").key.to_0x_hex() for number in range(4)
    )
    port = free_port()
    command = [str(_ANVIL), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID), "--silent"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        asyncio.run(_ready(f"http://127.0.0.1:{port}"))
        yield Chain("anvil", f"http://127.0.0.1:{port}", keys)
    finally:
        process.terminate()
        process.wait(30)


async def _ready(url: str) -> None:
    async with HttpRpc(url, CHAIN_ID) as node:
        if await node.call("eth_chainId") != hex(CHAIN_ID):
            sys.exit("anvil serves another chain")


@contextlib.contextmanager
def served(chain: DevChain) -> Iterator[str]:
    """Let a chain of this process answer over HTTP, from a thread."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        assert scope["type"] == "http"
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        answer = json.dumps(await chain.exchange(json.loads(body))).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
