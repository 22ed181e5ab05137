"""Proofs of access on a chain: ``orderExecuted`` of the datatoken, sent from the provider's account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from eth_hash.auto import keccak

from cove.core.errors import Refused, Unavailable
from cove.core.proof import Access, Proof, Sent
from cove.core.transaction import Transaction
from cove.ledgers import abi
from cove.ledgers.events import Recover
from cove.ledgers.rpc import Rpc, RpcError
from cove.ports import SaveProof, Vault

_ORDER_EXECUTED: Final = abi.Call("orderExecuted", ("bytes32", "bytes", "bytes", "bytes", "bytes", "address"), ())
_EXECUTED_TOPIC: Final = (
    "0x" + keccak(b"OrderExecuted(address,address,bytes32,bytes,bytes,bytes,bytes,uint256,uint256)").hex()
)
_PERSONAL: Final = b"\x19Ethereum Signed Message:\n32"
_SIGNATURE_BYTES: Final = 65
_GAS_MARGIN: Final = 1.2
#: Nodes replace a transaction that waits for one that pays an eighth more.
_RAISE: Final = 1.125
_MOST_RAISES: Final = 5
_REVERTED: Final = 3
_LONGEST_WORDS: Final = 200
#: How nodes say that they have this very transaction, or that its nonce was used; the next look finds out which.
_HAS_IT: Final = ("already known", "known transaction", "already imported", "nonce too low", "nonce is too low")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a transaction is waited for, in seconds."""

    #: Between two looks.
    poll: float = 5.0
    #: Until one that is not mined is replaced by one that pays more.
    replace_after: float = 90.0
    #: Until each further look counts as an attempt that failed.
    quiet: float = 900.0


class ChainProofs:
    """A ``ProofSink`` that sends one transaction after the other, and is done with each once it is mined.

    A transaction is written down before it is sent, so that the same one is sent again after an interruption, and no
    second one is paid for.

    Args:
        rpc: The chain's node.
        chain_id: Of the chain.
        vault: Whose account sends and pays.
        recover: Finds who signed.
        now: Gives the Unix time.
        patience: How long to wait for what.
    """

    in_order = True

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        vault: Vault,
        *,
        recover: Recover,
        now: Callable[[], float],
        patience: Patience = Patience(),
    ) -> None:
        self.lane = f"chain:{chain_id}"
        self._rpc = rpc
        self._chain_id = chain_id
        self._vault = vault
        self._recover = recover
        self._now = now
        self._patience = patience
        self._part = f"chain {chain_id}"

    def takes(self, access: Access) -> bool:
        """Say whether the contract would take the consumer's signature.

        It knows one form of signature alone: that of a key, over the keccak of the text. Tokens, contract wallets and
        plain personal messages cannot be proven there, nor what the provider fetched for itself.
        """
        if access.chain_id != self._chain_id or access.consumer.lower() == self._vault.address.lower():
            return False
        try:
            signature = bytes.fromhex(access.consumer_signature.removeprefix("0x"))
        except ValueError:
            return False
        digest = keccak(_PERSONAL + keccak(access.consumer_data.encode()))
        signer = self._recover(digest, signature) if len(signature) == _SIGNATURE_BYTES else None
        return signer is not None and signer.lower() == access.consumer.lower()

    async def deliver(self, proof: Proof, save: SaveProof) -> float | None:
        """Bring a proof as far as it can go now; None once its transaction is mined, else seconds to wait.

        Raises:
            Refused: The contract refuses it.
            Unavailable: The node does not answer, or does not take the transaction.
            StaleWrite: Somebody else works on it.
        """
        try:
            return await self._deliver(proof, save)
        except RpcError as problem:
            raise Unavailable(self._part, f"{self._part} refused: {_words(problem)}") from None
        except abi.BadAnswer:
            raise Unavailable(self._part, f"{self._part} gave an answer of the wrong form") from None

    async def close(self) -> None:
        """Let go of connections."""
        await self._rpc.close()

    async def _deliver(self, proof: Proof, save: SaveProof) -> float | None:
        if await self._is_there(proof):
            return None
        ready = await self._ready(proof)
        if ready is not proof:
            ready = await save(ready)
        await self._send(ready.sent[-1])
        if await self._is_there(ready):
            return None
        if self._now() - ready.sent[0].at > self._patience.quiet:
            raise Unavailable(self._part, f"{self._part} has not mined the proof's transaction")
        return self._patience.poll

    async def _ready(self, proof: Proof) -> Proof:
        """Give the proof with the transaction that is to be sent now at the end of its list."""
        if not proof.sent:
            return await self._begun(proof)
        newest = proof.sent[-1]
        if await self._count("latest") > newest.nonce:
            # Mined, but none of ours: another program used the account, and took the nonce.
            return proof if await self._is_there(proof) else await self._begun(proof)
        if self._now() - newest.at < self._patience.replace_after or len(proof.sent) > _MOST_RAISES:
            return proof
        price = await self._gas_price()
        if await self._is_waiting(proof):
            price = max(price, int(max(sent.gas_price for sent in proof.sent) * _RAISE) + 1)
        if price == newest.gas_price:  # the node never took it, or lost it: it goes out again as it is
            return proof
        return replace(proof, sent=(*proof.sent, await self._signed(proof.access, newest.nonce, price)))

    async def _begun(self, proof: Proof) -> Proof:
        first = await self._signed(proof.access, await self._count("pending"), await self._gas_price())
        return replace(proof, sent=(first,))

    async def _signed(self, access: Access, nonce: int, gas_price: int) -> Sent:
        data = self._call_of(access)
        gas = await self._gas(access, data)
        draft = Transaction(self._chain_id, nonce, gas_price, gas, access.datatoken, data)
        raw = draft.signed(*self._vault.sign_transaction(draft.unsigned()))
        return Sent("0x" + keccak(raw).hex(), "0x" + raw.hex(), nonce, gas_price, self._now())

    def _call_of(self, access: Access) -> bytes:
        order, about = bytes.fromhex(access.order_tx.removeprefix("0x")), access.provider_data.encode()
        v, r, s = self._vault.sign_hash(keccak(order + about))
        consumers = bytes.fromhex(access.consumer_signature.removeprefix("0x"))
        ours = r + s + bytes((v,))
        return bytes.fromhex(
            _ORDER_EXECUTED.data(order, about, ours, access.consumer_data.encode(), consumers, access.consumer)[2:]
        )

    async def _gas(self, access: Access, data: bytes) -> int:
        request = {"from": self._vault.address, "to": access.datatoken, "data": "0x" + data.hex()}
        try:
            return int(abi.quantity(await self._rpc.call("eth_estimateGas", [request])) * _GAS_MARGIN)
        except RpcError as problem:
            if problem.code == _REVERTED or problem.revert or "revert" in problem.message.lower():
                raise Refused("proof", f"the datatoken refuses it: {_words(problem)}") from None
            raise

    async def _send(self, sent: Sent) -> None:
        try:
            await self._rpc.call("eth_sendRawTransaction", [sent.raw])
        except RpcError as problem:
            if not any(words in problem.message.lower() for words in _HAS_IT):
                raise

    async def _is_there(self, proof: Proof) -> bool:
        """Say whether one of the proof's transactions is mined, with its event.

        Raises:
            Refused: It is mined and says nothing.
        """
        for sent in proof.sent:
            receipt = await self._rpc.call("eth_getTransactionReceipt", [sent.tx_id])
            if receipt is not None:
                if not _has_event(abi.record(receipt), proof.access.datatoken):
                    raise Refused("proof", f"transaction {sent.tx_id} holds no OrderExecuted of the datatoken")
                return True
        return False

    async def _is_waiting(self, proof: Proof) -> bool:
        """Say whether the node holds one of the proof's transactions."""
        for sent in proof.sent:
            if await self._rpc.call("eth_getTransactionByHash", [sent.tx_id]) is not None:
                return True
        return False

    async def _count(self, at: str) -> int:
        return abi.quantity(await self._rpc.call("eth_getTransactionCount", [self._vault.address, at]))

    async def _gas_price(self) -> int:
        return abi.quantity(await self._rpc.call("eth_gasPrice", []))


def _has_event(receipt: Mapping[str, Any], datatoken: str) -> bool:
    return receipt.get("status") == "0x1" and any(
        log["address"].lower() == datatoken.lower() and log["topics"][:1] == [_EXECUTED_TOPIC]
        for log in abi.logs(receipt.get("logs"))
    )


def _words(problem: RpcError) -> str:
    text = problem.message[:_LONGEST_WORDS]
    return text if text.isprintable() else f"code {problem.code}"
