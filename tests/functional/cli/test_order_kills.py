"""``cove order`` and ``cove submit --place-orders``, ended by SIGKILL at each of their calls and run again.

A gate stands before the node and the provider. It ends the command just before a call, or when the call was done and
its answer is on the way; the latter only where a call changes something, since to read or not to read is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.functional.cli.conftest import House
from tests.functional.cli.test_publish import Owner
from tests.support.forks import Forks, forks

from cove.client import CoveClient
from cove.client.market import Wallet, token_balance, transfer
from cove.core.order import OrderTerms, check
from cove.ledgers.abi import ORDER_STARTED

ORDER = re.compile(r"0x[0-9a-f]{64}")
CHANGES = ("eth_sendRawTransaction", "POST /api/services/compute")
CODE = "import os\nopen(os.environ['OUTPUTS'] + '/a', 'w').write('1')\n"


class Gate:
    """What is before a server: it hands calls on, and ends the caller at one of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.victim = 0
        #: Number of the call, counted from one, and whether it is done before the end; None: nobody is ended.
        self.deadly: tuple[int, bool] | None = None
        self._known = threading.Event()
        self._lock = threading.Lock()

    def expect(self, deadly: tuple[int, bool] | None) -> None:
        self.calls, self.deadly = [], deadly
        self._known.clear()

    def victim_is(self, process: int) -> None:
        self.victim = process
        self._known.set()

    def let_in(self, name: str) -> int:
        """Count a call; give its number, or 0 where its caller was ended."""
        with self._lock:
            self.calls.append(name)
            number = len(self.calls)
        return 0 if self.deadly == (number, False) and self._end() else number

    def let_out(self, number: int) -> bool:
        """Say whether the caller gets its answer."""
        return not (self.deadly == (number, True) and self._end())

    def _end(self) -> bool:
        assert self._known.wait(120)
        os.kill(self.victim, signal.SIGKILL)
        return True


@contextlib.contextmanager
def before(gate: Gate, upstream: str) -> Iterator[str]:
    """Serve the gate before a server, and give the URL that takes its place."""
    place = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            called = json.loads(body) if len(place.path) > 1 else {}  # of a node
            number = gate.let_in(called.get("method", f"{self.command} {self.path}"))
            if not number:
                self.close_connection = True
                return
            server = http.client.HTTPConnection(str(place.hostname), int(place.port or 0), timeout=60)
            kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            server.request(self.command, self.path, body or None, kind)
            answer = server.getresponse()
            content = answer.read()
            server.close()
            if not gate.let_out(number):
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            del format, arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{place.path}"
        finally:
            server.shutdown()
            thread.join()


class Consumer:
    """An account that runs commands which are ended."""

    def __init__(self, house: House, gate: Gate, forked: Forks, urls: tuple[str, str], folder: Path) -> None:
        self.house, self.gate, self._forks, self.folder = house, gate, forked, folder
        self.wallet = house.ocean.stranger
        self._variables = {
            "COVE_URL": urls[0],
            "COVE_RPC": urls[1],
            "COVE_ACCOUNT_KEY_FILE": str(house.folder / "stranger.key"),
        }

    def run(self, wish: str, arguments: list[str], deadly: tuple[int, bool] | None = None) -> tuple[int, str]:
        """Run a command for a wish; give its exit code and what was printed, by earlier runs for that wish too."""
        printed = self.folder / f"{wish}.txt"
        self.gate.expect(deadly)
        variables = {**self._variables, "COVE_JOURNALS": str(self.folder / wish)}
        self.gate.victim_is(self._forks.start(arguments, variables, self.folder, printed))
        code = self._forks.end()
        text = printed.read_text()
        assert "Traceback" not in text, text
        return code, text

    def sent(self) -> int:
        return int(str(asyncio.run(self.wallet._ask("eth_getTransactionCount", self.wallet.address, "latest"))), 16)

    def orders_of(self, datatoken: str) -> list[str]:
        """Give the transactions of all orders of a datatoken."""
        asked = {"fromBlock": "0x0", "toBlock": "latest", "address": datatoken, "topics": [ORDER_STARTED.topic]}
        logs: Any = asyncio.run(self.wallet._ask("eth_getLogs", asked))
        return sorted(log["transactionHash"] for log in logs)

    def killed_everywhere(self, arguments: list[str], ended: Callable[[str, str], None]) -> int:
        """Have a command killed at each of its calls, and run again; give how often.

        Args:
            arguments: The command.
            ended: Called with the name of each wish and what was printed for it.
        """
        code, text = self.run("whole", arguments)
        assert code == 0, text
        ended("whole", text)
        points = [(number, False) for number in range(1, len(self.gate.calls) + 1)]
        points += [(number, True) for number, call in enumerate(self.gate.calls, 1) if call in CHANGES]
        for number, answered in points:
            wish = f"{number}-{answered}"
            code, text = self.run(wish, arguments, (number, answered))
            assert code == -signal.SIGKILL, text
            code, text = self.run(wish, arguments)
            assert code == 0, text
            ended(wish, text)
            assert not list((self.folder / wish).iterdir())
        return len(points)


@pytest.fixture
def consumer(house: House, rpc: str, tmp_path: Path) -> Iterator[Consumer]:
    gate = Gate()
    give = transfer(house.ocean.consumer, house.ocean.addresses.fee_token, house.ocean.stranger.address, 10**21)
    asyncio.run(give)
    with forks() as forked, before(gate, house.url) as url, before(gate, rpc) as node:
        yield Consumer(house, gate, forked, (url, node), tmp_path)


def published(house: House, rpc: str, folder: Path) -> str:
    owner = Owner(house, rpc, folder)
    path = owner.dataset('["*"]')
    path.write_text(path.read_text().replace('trusted_algorithms = ["*"]', "allow_raw_algorithm = true"))
    return owner.run("publish", "dataset", path).strip()


def service_of(house: House, did: str) -> Any:
    with CoveClient(house.url) as client:
        return client.document(did)["services"][0]


def balance(wallet: Wallet, token: str) -> int:
    return asyncio.run(token_balance(wallet, token))


def test_an_order_that_is_killed_anywhere_is_paid_once(house: House, rpc: str, consumer: Consumer) -> None:
    did = published(house, rpc, consumer.folder)
    token = house.ocean.addresses.fee_token
    orders: list[str] = []
    before_all, sent = balance(consumer.wallet, token), consumer.sent()

    def ended(wish: str, text: str) -> None:
        found = set(ORDER.findall(text))
        assert len(found) == 1, (wish, text)
        orders.extend(found)

    killed = consumer.killed_everywhere(["order", "--dataset", did, "--seconds", "50"], ended)
    assert killed > 25
    assert len(set(orders)) == killed + 1  # each wish has one of its own
    # A datatoken, the right to take the fee, the order. A fee that is quoted a second later, or sooner, is another one,
    # and may want the right anew.
    assert 3 * len(orders) <= consumer.sent() - sent <= 4 * len(orders)
    paid = before_all - balance(consumer.wallet, token)
    assert 0 < paid <= len(orders) * (10**17 * 50 // 60 + 1)  # rounded up
    service = service_of(house, did)
    datatoken = service["datatokenAddress"]
    assert balance(consumer.wallet, datatoken) == 0
    assert consumer.orders_of(datatoken) == sorted(orders)  # on the whole chain
    terms = OrderTerms(datatoken, service["id"], 0, 0, consumer.wallet.address, "0x" + "0" * 40, None)
    for order in orders:
        receipt = asyncio.run(house.ocean.ledger().receipt(order))
        assert receipt is not None
        assert check(receipt, terms, receipt.block_time).tx_id == order


def test_a_submission_that_is_killed_anywhere_starts_one_job(house: House, rpc: str, consumer: Consumer) -> None:
    did = published(house, rpc, consumer.folder)
    (consumer.folder / "code.py").write_text(CODE)
    jobs: list[str] = []

    def ended(_: str, text: str) -> None:
        jobs.append(text.rsplit(maxsplit=1)[-1])

    sent = consumer.sent()
    arguments = ["submit", "--dataset", did, "--raw", "code.py", "--place-orders", "--seconds", "50"]
    code, text = consumer.run("whole", arguments)
    assert code == 0, text
    ended("whole", text)
    starts = [number for number, call in enumerate(consumer.gate.calls, 1) if call == CHANGES[1]]
    (start,) = starts
    for number, answered in ((start - 1, False), (start, False), (start, True)):
        wish = f"{number}-{answered}"
        code, text = consumer.run(wish, arguments, (number, answered))
        assert code == -signal.SIGKILL, text
        code, text = consumer.run(wish, arguments)
        assert code == 0, text
        ended(wish, text)
        assert not list((consumer.folder / wish).iterdir())
    assert "An earlier run started job" in text
    assert len(set(jobs)) == 4
    assert 3 * 4 <= consumer.sent() - sent <= 4 * 4
    assert len(consumer.orders_of(service_of(house, did)["datatokenAddress"])) == 4
