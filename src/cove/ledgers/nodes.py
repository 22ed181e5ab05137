"""The nodes of one chain: which of them may be asked now.

A node that fails is set aside and *probed*: chain id, newest block, a trivial ``eth_call``. When the probe is good the
node is asked again at once; when it is not, it is probed again after a pause that grows. So no request of a consumer
tries out a sick node, and a single call that a node chokes on (a contract that computes for ever) costs it no more
than one probe. Nothing is probed where nobody asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cove.core.errors import Unavailable
from cove.ledgers import abi
from cove.ledgers.rpc import NodeFailure, Rpc, RpcError, limits_rate

LAG_SECONDS: Final = 60
"""How much older a node's newest block may be than that of another node, and than its own of before."""

_FRESH_SECONDS: Final = 10.0
_NOT_ASKED: Final = "was not asked yet"
_NOBODY: Final = "0x" + "0" * 40

log = logging.getLogger("cove.ledgers")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited; all in seconds."""

    #: For a whole call, whatever is tried within it.
    call: float = 8.0
    #: The same for a list of logs.
    slow_call: float = 20.0
    #: After which the next node is asked beside a silent one.
    patience: float = 1.5
    #: The same for a list of logs.
    slow_patience: float = 6.0
    #: For a probe.
    probe: float = 3.0
    #: The first pause after a bad probe; each further one is twice as long.
    first_pause: float = 0.5
    #: The longest pause.
    longest_pause: float = 30.0
    #: The longest pause while no node is usable, so that a chain that comes back is seen soon.
    pause_alone: float = 2.0
    #: Between two looks at whether the nodes agree on the newest block, while there are calls.
    compare: float = 30.0


@dataclass(frozen=True, slots=True)
class Head:
    """A node's newest block."""

    number: int
    #: Unix time.
    time: int


@dataclass(slots=True)
class Node:
    """One node, and what was seen of it."""

    rpc: Rpc
    #: ``RPC 1 of 2``: never its URL, which may hold an access key.
    name: str
    usable: bool = False
    #: What it does, to follow its name.
    why: str = _NOT_ASKED
    #: None before the first good probe.
    head: Head | None = None
    head_seen_at: float = float("-inf")
    #: Bad probes in a row.
    failures: int = 0
    #: When it answered any call last.
    answered_at: float = float("-inf")
    #: Calls in a row that it refused for their rate.
    refusals: int = 0
    paused_at: float = float("-inf")
    probe_at: float = float("-inf")
    probe: asyncio.Task[None] | None = field(default=None, repr=False)


class Nodes:
    """All nodes of a chain, in the owner's order of preference.

    Args:
        rpcs: At least one; closed with this.
        chain_id: What each must serve.
        limits: How long is waited.
        monotonic: Gives seconds.
    """

    def __init__(
        self, rpcs: Sequence[Rpc], chain_id: int, limits: Limits, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.part = f"chain {chain_id}"
        self.limits = limits
        self.now = monotonic
        self.all = tuple(Node(rpc, f"RPC {number} of {len(rpcs)}") for number, rpc in enumerate(rpcs, 1))
        self._chain_id = chain_id
        self._compared_at = monotonic()

    def usable(self) -> list[Node]:
        """Give the nodes that may be asked now, the preferred one first."""
        return [node for node in self.all if node.usable]

    async def until_usable(self, deadline: float) -> None:
        """Wait until a node may be asked.

        Args:
            deadline: In the seconds of the clock.

        Raises:
            Unavailable: None was found in time, or all are at pause after a bad probe.
        """
        if not self.usable():
            for node in self.all:
                if self.now() >= min(node.probe_at, node.paused_at + self.limits.pause_alone):
                    self._probe(node)
        while not self.usable():
            probes = [node.probe for node in self.all if node.probe is not None]
            left = deadline - self.now()
            if not probes or left <= 0:
                raise self.down()
            await asyncio.wait(probes, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def look_after(self) -> None:
        """Probe what is due, beside a call that came in."""
        for node in self.all:
            if not node.usable and self.now() >= node.probe_at:
                self._probe(node)
        if len(self.all) > 1 and self.now() - self._compared_at >= self.limits.compare:
            self._compared_at = self.now()
            for node in self.usable():
                self._probe(node)

    def set_aside(self, node: Node, failure: NodeFailure) -> None:
        """Ask a node no more until a probe was good."""
        self._drop(node, failure.why)
        if failure.retry_after is None:
            self._probe(node)
        else:  # to probe it now would cost more of the rate that it limits
            node.refusals += 1
            self._pause(node, max(failure.retry_after, self.limits.first_pause * 2.0 ** min(node.refusals, 16)))

    def answered(self, node: Node) -> None:
        """Note that a node answered a call."""
        node.refusals = 0
        node.answered_at = self.now()

    def suspect(self, node: Node, failure: NodeFailure, patience: float) -> None:
        """See to a node that keeps silent on a call: one that answers others meanwhile is busy, and only probed."""
        if self.now() - node.answered_at < patience:
            self._probe(node)
        else:
            self.set_aside(node, failure)

    def down(self) -> Unavailable:
        """Give the failure of the whole chain, which says what each node does."""
        reasons = ", ".join(f"{node.name} {node.why}" for node in self.all)
        return Unavailable(self.part, f"{self.part} does not answer: {reasons}")

    async def examine(self) -> Sequence[Node]:
        """Probe every node and give them all, with what was seen."""
        for node in self.all:
            self._probe(node)
        while probes := [node.probe for node in self.all if node.probe is not None]:
            await asyncio.wait(probes)
        return self.all

    async def close(self) -> None:
        """Stop the probes and let go of all connections."""
        probes = [node.probe for node in self.all if node.probe is not None]
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        for node in self.all:
            await node.rpc.close()

    # ------------------------------------------------------------------------------------------ probing

    def _probe(self, node: Node) -> None:
        if node.probe is not None:
            return
        node.probe = asyncio.create_task(self._probing(node), name=f"probe of {self.part}, {node.name}")
        if not node.usable:  # that it is behind is seen beside the newest blocks of the others
            for other in self.usable():
                self._probe(other)

    async def _probing(self, node: Node) -> None:
        try:
            async with asyncio.timeout(self.limits.probe):
                head = await _head_of(node.rpc, self.part, self._chain_id)
        except TimeoutError:
            self._found_bad(node, "does not answer in time")
        except Unavailable as problem:
            self._found_bad(node, failure_of(problem).why)
        else:
            self._found(node, head)
        finally:
            node.probe = None

    def _found(self, node: Node, head: Head) -> None:
        before, node.head, node.head_seen_at = node.head, head, self.now()
        if before is not None and head.number < before.number and before.time - head.time > LAG_SECONDS:
            self._found_bad(node, f"went back from block {before.number} to {head.number}")
            return
        if not node.usable:
            if node.why != _NOT_ASKED:
                log.info("%s: %s is asked again", self.part, node.name)
            node.usable, node.why = True, "answers"
        self._compare()
        if node.usable:
            node.failures = 0

    def _compare(self) -> None:
        """Set aside the nodes that are far behind another one; only what was seen just now is compared."""
        fresh = [node for node in self.usable() if self.now() - node.head_seen_at < _FRESH_SECONDS]
        heads = [(node, node.head) for node in fresh if node.head is not None]
        best = max((head for _, head in heads), key=lambda head: head.number)
        for node, head in heads:
            if head.number < best.number and best.time - head.time > LAG_SECONDS:
                self._found_bad(node, f"is {best.number - head.number} blocks behind the others")

    def _found_bad(self, node: Node, why: str) -> None:
        self._drop(node, why)
        self._pause(node, self.limits.first_pause * 2.0 ** min(node.failures, 16))
        node.failures += 1

    def _drop(self, node: Node, why: str) -> None:
        if node.usable or node.why == _NOT_ASKED:
            log.warning("%s: %s is set aside: it %s", self.part, node.name, why)
        node.usable, node.why = False, why

    def _pause(self, node: Node, seconds: float) -> None:
        node.paused_at = self.now()
        node.probe_at = node.paused_at + min(seconds, self.limits.longest_pause)


async def _head_of(rpc: Rpc, part: str, chain_id: int) -> Head:
    """Give a node's newest block, if it serves the chain and can look into its state.

    Raises:
        Unavailable: It does not answer, serves another chain, or does not say what is asked.
    """
    try:
        found, block, _ = await asyncio.gather(
            rpc.call("eth_chainId"),
            rpc.call("eth_getBlockByNumber", ["latest", False]),
            rpc.call("eth_call", [{"to": _NOBODY, "data": "0x"}, "latest"]),
        )
        served = abi.quantity(found)
        newest = abi.record(block)
        head = Head(abi.quantity(newest.get("number")), abi.quantity(newest.get("timestamp")))
    except RpcError as problem:
        if limits_rate(problem):
            raise NodeFailure(part, "limits our rate") from None
        raise NodeFailure(part, "refuses to say its chain and newest block") from None
    except abi.BadAnswer:
        raise NodeFailure(part, "answers nonsense") from None
    if served != chain_id:
        raise NodeFailure(part, f"serves chain {served}")
    return head


def failure_of(problem: Unavailable) -> NodeFailure:
    """Give what a node did; a chain in this process knows no more than that it does not answer."""
    return problem if isinstance(problem, NodeFailure) else NodeFailure(problem.part, "does not answer")
