"""Several nodes of one chain, asked as if they were one.

The nodes are asked in the owner's order of preference; ``cove.ledgers.nodes`` says which may be asked. What is an
answer, and what is none:

- A JSON-RPC *error* is an answer (a revert, wrong params), and no other node is asked. Two kinds are not: one that
  limits our rate sets the node aside, and a node that lacks a block or its state, or fails inside, is passed over for
  this call alone. (It is not set aside: what makes it fail may be the call, and the next node would go the same way.)
- *Nothing* (``null``) in the place of a receipt, a transaction or a block may mean that the node lags behind. Nothing
  is believed when every node that can be asked says so; a node that is down has no voice in it, or else one dead node
  among three would turn each made-up transaction id into a fault of ours.
- A write goes to one node, and to a further one only when nothing was sent: a write that was cut off may have arrived.

A call has one limit of time, whatever is tried within it. A silent node is overtaken: after a short patience the next
one is asked beside it, and the first answer counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from cove.core.errors import Unavailable
from cove.ledgers.nodes import Limits, Node, Nodes, failure_of
from cove.ledgers.rpc import NodeFailure, Rpc, RpcError, is_revert, limits_rate

_WRITES: Final = frozenset({"eth_sendRawTransaction", "eth_sendTransaction"})
_SLOW: Final = frozenset({"eth_getLogs"})
_MAY_LAG: Final = frozenset(
    {"eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getBlockByHash", "eth_getBlockByNumber"}
)
_ROUNDS: Final = 2
_INTERNAL: Final = -32603
_LACKS: Final = ("header not found", "missing trie node", "unknown block", "block not found", "state is not available")
_SILENT: Final = "does not answer in time"


class Failover:
    """One chain behind several nodes, as ``cove.ledgers.rpc.Rpc`` describes it.

    Args:
        rpcs: In order of preference, at least one; closed with this.
        chain_id: What each must serve.
        limits: How long is waited; None for the usual times.
        monotonic: Gives seconds.
    """

    def __init__(
        self,
        rpcs: Sequence[Rpc],
        chain_id: int,
        *,
        limits: Limits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = Nodes(rpcs, chain_id, limits or Limits(), monotonic)

    async def call(self, method: str, params: Sequence[object] = ()) -> object:
        """Call a method on the best node that answers, and give its result.

        Raises:
            RpcError: The node refused the call.
            Unavailable: No node answered in time; the text names each by its place, never by its URL.
        """
        nodes = self._nodes
        deadline = nodes.now() + (nodes.limits.slow_call if method in _SLOW else nodes.limits.call)
        nodes.look_after()
        if method in _WRITES:
            return await self._write(method, params, deadline)
        for _ in range(_ROUNDS):  # the second serves a node whose connection broke and whose probe was good
            await nodes.until_usable(deadline)
            question = _Question(nodes, method, params, deadline)
            if await question.answered():
                return question.result
        raise nodes.down()

    async def examine(self) -> Sequence[Node]:
        """Probe every node and give them all, with what was seen."""
        return await self._nodes.examine()

    async def close(self) -> None:
        """Stop the probes and let go of all connections."""
        await self._nodes.close()

    async def _write(self, method: str, params: Sequence[object], deadline: float) -> object:
        nodes = self._nodes
        await nodes.until_usable(deadline)
        for node in nodes.usable():
            try:
                async with asyncio.timeout(max(0.0, deadline - nodes.now())):
                    return await node.rpc.call(method, params)
            except TimeoutError:
                nodes.set_aside(node, NodeFailure(nodes.part, _SILENT))
                break
            except Unavailable as problem:
                failure = failure_of(problem)
                nodes.set_aside(node, failure)
                if failure.sent:
                    break
        raise nodes.down()


class _Question:
    """One call that only reads, on its way through the usable nodes."""

    def __init__(self, nodes: Nodes, method: str, params: Sequence[object], deadline: float) -> None:
        self.result: object = None
        self._nodes = nodes
        self._method = method
        self._params = params
        self._deadline = deadline
        self._patience = nodes.limits.slow_patience if method in _SLOW else nodes.limits.patience
        self._left = nodes.usable()
        #: With the time at which each was asked.
        self._asked: dict[asyncio.Task[object], tuple[Node, float]] = {}
        self._nothing = False
        self._doubtful: RpcError | None = None

    async def answered(self) -> bool:
        """Ask until there is an answer, which is kept as the result; False when every node failed.

        Raises:
            RpcError: The answer is a refusal.
        """
        try:
            while self._left or self._asked:
                if not self._asked:
                    self._ask_next()
                if await self._heard():
                    return True
        finally:
            self._hang_up()
        if self._doubtful is not None and not self._nothing:
            raise self._doubtful
        return self._nothing

    def _ask_next(self) -> None:
        node = self._left.pop(0)
        task = asyncio.create_task(_asking(node.rpc, self._method, self._params))
        self._asked[task] = node, self._nodes.now()

    async def _heard(self) -> bool:
        """Wait for the next answer; True when it counts."""
        left = self._deadline - self._nodes.now()
        seconds = max(0.0, min(left, self._patience) if self._left else left)
        done, _ = await asyncio.wait(self._asked, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            if self._left and left > self._patience:
                self._ask_next()
            else:
                self._left.clear()
                self._set_aside_since(self._nodes.now())
            return False
        for task in done:
            node, _ = self._asked.pop(task)
            if self._counts(node, task):
                self._set_aside_since(self._nodes.now() - self._patience)
                return True
        return False

    def _counts(self, node: Node, task: asyncio.Task[object]) -> bool:
        try:
            found = task.result()
        except RpcError as problem:
            if limits_rate(problem):
                self._nodes.set_aside(node, NodeFailure(self._nodes.part, "limits our rate", retry_after=0.0))
                return False
            self._nodes.answered(node)
            if not _is_doubtful(problem):
                raise
            self._doubtful = self._doubtful or problem
            return False
        except Unavailable as problem:
            self._nodes.set_aside(node, failure_of(problem))
            return False
        self._nodes.answered(node)
        if found is None and self._method in _MAY_LAG:
            self._nothing = True
            return False
        self.result = found
        return True

    def _set_aside_since(self, moment: float) -> None:
        """Set aside the nodes that keep silent since a moment or longer, and wait for no node any more."""
        for node, asked_at in self._asked.values():
            if asked_at <= moment:
                self._nodes.suspect(node, NodeFailure(self._nodes.part, _SILENT), self._patience)
        self._hang_up()

    def _hang_up(self) -> None:
        for task in self._asked:
            if not task.cancel() and not task.cancelled():
                task.exception()  # it came too late: nobody else will take it
        self._asked.clear()


async def _asking(rpc: Rpc, method: str, params: Sequence[object]) -> object:
    return await rpc.call(method, params)


def _is_doubtful(problem: RpcError) -> bool:
    """Say whether a refusal says more of the node than of the call."""
    if is_revert(problem):
        return False
    return problem.code == _INTERNAL or any(words in problem.message.lower() for words in _LACKS)
