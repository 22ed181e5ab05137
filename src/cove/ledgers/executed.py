"""Proofs of access on a chain: ``orderExecuted`` of the datatoken, sent from the provider's account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from eth_hash.auto import keccak

from cove.core.errors import Refused, Unavailable
from cove.core.proof import Access, Proof
from cove.ledgers import abi
from cove.ledgers.events import Recover
from cove.ledgers.rpc import Rpc, RpcError
from cove.ledgers.sending import USUAL, Order, Outbox, Patience, words
from cove.ports import SaveProof, Vault

_ORDER_EXECUTED: Final = abi.Call("orderExecuted", ("bytes32", "bytes", "bytes", "bytes", "bytes", "address"), ())
_EXECUTED_TOPIC: Final = (
    "0x" + keccak(b"OrderExecuted(address,address,bytes32,bytes,bytes,bytes,bytes,uint256,uint256)").hex()
)
_PERSONAL: Final = b"\x19Ethereum Signed Message:\n32"
_SIGNATURE_BYTES: Final = 65


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
        patience: Patience = USUAL,
    ) -> None:
        self.lane = f"chain:{chain_id}"
        self._rpc = rpc
        self._chain_id = chain_id
        self._vault = vault
        self._recover = recover
        self._now = now
        self._outbox = Outbox(rpc, chain_id, vault, now, patience)
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
            raise Unavailable(self._part, f"{self._part} refused: {words(problem)}") from None
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
        await self._outbox.send(ready.sent[-1])
        if await self._is_there(ready):
            return None
        if self._now() - ready.sent[0].at > self._outbox.patience.quiet:
            raise Unavailable(self._part, f"{self._part} has not mined the proof's transaction")
        return self._outbox.patience.poll

    async def _ready(self, proof: Proof) -> Proof:
        """Give the proof with the transaction that is to be sent now at the end of its list."""
        order = Order(proof.access.datatoken, self._call_of(proof.access))
        try:
            sent = await self._outbox.ready(proof.sent, order, lambda: self._is_there(proof))
        except Refused as problem:
            raise Refused("proof", problem.reason.replace("the contract", "the datatoken", 1)) from None
        return proof if sent is proof.sent else replace(proof, sent=sent)

    def _call_of(self, access: Access) -> bytes:
        order, about = bytes.fromhex(access.order_tx.removeprefix("0x")), access.provider_data.encode()
        v, r, s = self._vault.sign_hash(keccak(order + about))
        consumers = bytes.fromhex(access.consumer_signature.removeprefix("0x"))
        ours = r + s + bytes((v,))
        return bytes.fromhex(
            _ORDER_EXECUTED.data(order, about, ours, access.consumer_data.encode(), consumers, access.consumer)[2:]
        )

    async def _is_there(self, proof: Proof) -> bool:
        """Say whether one of the proof's transactions is mined, with its event.

        Raises:
            Refused: It is mined and says nothing.
        """
        found = await self._outbox.mined(proof.sent)
        if found is None:
            return False
        sent, receipt = found
        if not _has_event(receipt, proof.access.datatoken):
            raise Refused("proof", f"transaction {sent.tx_id} holds no OrderExecuted of the datatoken")
        return True


def _has_event(receipt: Mapping[str, Any], datatoken: str) -> bool:
    return receipt.get("status") == "0x1" and any(
        log["address"].lower() == datatoken.lower() and log["topics"][:1] == [_EXECUTED_TOPIC]
        for log in abi.logs(receipt.get("logs"))
    )
