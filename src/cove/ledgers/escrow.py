"""Ocean's ``Escrow`` contract over JSON-RPC (`EnterpriseEscrow` has the same functions)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from eth_hash.auto import keccak

from cove.core.errors import Refused, Unavailable
from cove.core.payment import Payment, PaymentState
from cove.core.proof import Sent
from cove.ledgers import abi
from cove.ledgers.rpc import Rpc, RpcError
from cove.ledgers.sending import Order, Outbox, words
from cove.ports import Mined, SavePayment

_CREATE: Final = abi.Call("createLock", ("uint256", "address", "address", "uint256", "uint256"), ())
_CLAIM: Final = abi.Call("claimLock", ("uint256", "address", "address", "uint256", "bytes"), ())
_CLAIM_OUT: Final = abi.Call("claimLockAndWithdraw", ("uint256", "address", "address", "uint256", "bytes"), ())
_FUNDS: Final = abi.Call("getUserFunds", ("address", "address"), ("(uint256,uint256)",))
_LOCKS: Final = abi.Call(
    "getLocks", ("address", "address", "address"), ("(uint256,address,uint256,uint256,address)[]",)
)
_AUTHORIZATIONS: Final = abi.Call(
    "getAuthorizations", ("address", "address", "address"), ("(address,uint256,uint256,uint256,uint256,uint256)[]",)
)


class EvmEscrow:
    """An ``Escrow`` of an Ethereum chain.

    Args:
        rpc: The chain's node.
        chain_id: Of the chain.
        address: Of the contract, checksummed.
        account: The provider's, who is the payee; checksummed.
        outbox: Sends the provider's transactions.
        confirmations: How deep a lock must be to count.
    """

    def __init__(  # noqa: PLR0917 - each once
        self, rpc: Rpc, chain_id: int, address: str, account: str, outbox: Outbox, confirmations: int = 1
    ) -> None:
        self.chain_id = chain_id
        self.address = address
        self.poll = outbox.patience.poll
        self._rpc = rpc
        self._account = account
        self._outbox = outbox
        self._confirmations = confirmations
        self._part = f"chain {chain_id}"

    async def problem(self, payment: Payment) -> str:
        """Say in a sentence why the payer's tokens cannot be locked; empty when they can."""
        token, payer = payment.token, payment.payer
        ((available, _),) = await self._ask(_FUNDS, payer, token)
        if available < payment.amount:
            return f"{payer} has {available} of token {token} in escrow {self.address}, and needs {payment.amount}."
        (given,) = await self._ask(_AUTHORIZATIONS, token, payer, self._account)
        to = f"authorize in escrow {self.address}: token {token}, payee {self._account}"
        if not given:
            return f"{payer} lets this provider lock nothing: {to}."
        _, most, locked, seconds, count, locks = given[0]
        if locked + payment.amount > most:
            return f"{payer} lets this provider lock {most}, of which {locked} are; {payment.amount} are needed: {to}."
        if seconds < payment.lock_seconds:
            return f"{payer} lets this provider lock for {seconds} s, and {payment.lock_seconds} s are needed: {to}."
        return "" if locks < count else f"{payer} lets this provider have {count} locks, and it has them: {to}."

    async def expiry(self, payment: Payment) -> int | None:
        """Give the Unix time at which a payment's lock ends; None when there is no such lock."""
        (locks,) = await self._ask(_LOCKS, payment.token, payment.payer, self._account)
        number = lock_number(payment)
        return next((int(expiry) for job, _, _, expiry, _ in locks if job == number), None)

    async def advance(self, payment: Payment, save: SavePayment) -> Mined | None:
        """Bring the lock, or the claim, as far as it can go now; None: it is not mined yet."""
        try:
            return await self._advance(payment, save)
        except RpcError as problem:
            raise Unavailable(self._part, f"{self._part} refused: {words(problem)}") from None
        except abi.BadAnswer:
            raise Unavailable(self._part, f"{self._part} gave an answer of the wrong form") from None

    async def close(self) -> None:
        """Let go of connections."""
        await self._rpc.close()

    async def _advance(self, payment: Payment, save: SavePayment) -> Mined | None:
        if found := await self._mined(payment):
            return found
        ready = await self._ready(payment)
        if ready is not payment.sent:
            payment = await save(replace(payment, sent=ready))
        await self._outbox.send(payment.sent[-1])
        if found := await self._mined(payment):
            return found
        if payment.sent[-1].at - payment.sent[0].at > self._outbox.patience.quiet:
            raise Unavailable(self._part, f"{self._part} has not mined the payment's transaction")
        return None

    async def _ready(self, payment: Payment) -> tuple[Sent, ...]:
        async def is_there() -> bool:
            return await self._mined(payment) is not None

        return await self._outbox.ready(payment.sent, Order(self.address, self._data(payment)), is_there)

    async def _mined(self, payment: Payment) -> Mined | None:
        found = await self._outbox.mined(payment.sent)
        if found is None:
            return None
        sent, receipt = found
        if receipt.get("status") != "0x1":
            raise Refused("transaction", f"transaction {sent.tx_id} failed")
        if self._confirmations == 1 or payment.state is not PaymentState.LOCKING:
            return Mined(sent.tx_id, payment)
        head = abi.quantity(await self._rpc.call("eth_blockNumber"))
        depth = max(1, head - abi.quantity(receipt.get("blockNumber")) + 1)
        return Mined(sent.tx_id, payment, depth, self._confirmations)

    def _data(self, payment: Payment) -> bytes:
        number, token, payer = lock_number(payment), payment.token, payment.payer
        if payment.state is PaymentState.LOCKING:
            data = _CREATE.data(number, token, payer, payment.amount, payment.lock_seconds)
        else:
            claim = _CLAIM_OUT if payment.claim else _CLAIM
            data = claim.data(number, token, payer, payment.claim, bytes.fromhex(payment.proof))
        return bytes.fromhex(data[2:])

    async def _ask(self, call: abi.Call, *arguments: object) -> tuple[Any, ...]:
        try:
            answer = await self._rpc.call("eth_call", [{"to": self.address, "data": call.data(*arguments)}, "latest"])
        except RpcError as problem:
            raise Unavailable(self._part, f"{self._part} refused: {words(problem)}") from None
        try:
            found = call.read(abi.raw(answer))
        except abi.BadAnswer:
            found = None
        if found is None:
            raise Unavailable(self._part, f"there is no escrow contract at {self.address} on {self._part}")
        return found


def lock_number(payment: Payment) -> int:
    """Give the number by which the contract knows a job: the keccak of its id, which is a secret."""
    return int.from_bytes(keccak(payment.job_id.encode()))
