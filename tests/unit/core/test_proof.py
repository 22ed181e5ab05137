"""When a proof is tried again, and which accesses are one."""

from __future__ import annotations

from dataclasses import replace

from cove.core.proof import MAX_ATTEMPTS, Access, Proof, ProofState, pause_after, postponed, proof_key, provider_data

ACCESS = Access(
    1, "0x" + "A" * 64, "0x" + "b" * 40, "0x" + "c" * 40, provider_data("did:op:1", "0", 2), "did:op:15", "0x"
)


def test_the_text_is_that_of_ocean_provider() -> None:
    assert ACCESS.provider_data == '{"documentId":"did:op:1","serviceId":"0","fileIndex":2,"downloadedBytes":0}'


def test_pauses_grow_and_end() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, MAX_ATTEMPTS)]
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600
    assert 12 * 3600 < sum(pauses) < 36 * 3600
    assert pause_after(10_000) == 3600


def test_what_cannot_be_delivered_is_given_up() -> None:
    proof = Proof(1, "http", ACCESS)
    for attempt in range(1, MAX_ATTEMPTS):
        proof = postponed(proof, 1000.0, "down")
        assert (proof.state, proof.attempts, proof.due_at > 1000) == (ProofState.OPEN, attempt, True)
    assert postponed(proof, 0.0, "down").state is ProofState.FAILED


def test_an_access_is_one_however_often_it_is_asked_for() -> None:
    again = replace(ACCESS, consumer_data="did:op:16", consumer_signature="0x1", order_tx=ACCESS.order_tx.lower())
    assert proof_key("http", ACCESS) == proof_key("http", again)
    others = [
        replace(ACCESS, order_tx="0x" + "d" * 64),
        replace(ACCESS, consumer="0x" + "d" * 40),
        replace(ACCESS, provider_data=provider_data("did:op:1", "0", 3)),
        replace(ACCESS, chain_id=2),
    ]
    assert len({proof_key("http", entry) for entry in (ACCESS, *others)}) == 5
    assert proof_key("http", ACCESS) != proof_key("chain:1", ACCESS)
