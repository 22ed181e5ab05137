"""Jobs for tests of what keeps them."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from cove.core.environment import Environment
from cove.core.job import Attempt, Job, JobId, Outcome, Resources, ResultFile, Tier, Verdict

ALICE = "0xA11ce00000000000000000000000000000000001"
BOB = "0xB0b0000000000000000000000000000000000002"
RESOURCES = Resources(
    cpus=1.5,
    memory_bytes=1 << 30,
    disk_bytes=1 << 30,
    inodes=1000,
    processes=64,
    time_seconds=3600,
    log_bytes=1 << 20,
)

ENVIRONMENT = Environment(
    id="default",
    engine="sandbox",
    description="Two cores",
    resources=RESOURCES,
    max_jobs=2,
    max_queue=10,
    price_per_minute=Decimal("0.5"),
    images=("cove/host",),
    fee_tokens=((8996, "0x" + "1" * 40),),
)


def a_job(**changes: Any) -> Job:
    """Give a new job with an id and an order of its own."""
    job_id = JobId(secrets.token_hex(16))
    fields: dict[str, Any] = {
        "id": job_id,
        "owner": ALICE,
        "chain_id": 8996,
        "environment": "default",
        "agreement_id": f"0x{secrets.token_hex(32)}",
        "dataset_dids": ("did:op:1", "did:op:2"),
        "algorithm_did": "did:op:3",
        "resources": RESOURCES,
        "created_at": 1_700_000_000.25,
        "expires_at": 1_700_003_600.0,
        "order_keys": (f"8996:0x{job_id}:0xdd:0",),
    }
    return Job(**{**fields, **changes})


def a_full_job(**changes: Any) -> Job:
    """Give a job in which no field has its default."""
    fields: dict[str, Any] = {
        "onward": ("storage",),
        "attempt": 2,
        "outcome": Outcome.ALGORITHM_FAILED,
        "reason": "exit_code_3",
        "message": "The algorithm ended with exit code 3.",
        "exit_code": 3,
        "out_of_memory": True,
        "started_at": 1_700_000_010.125,
        "finished_at": 1_700_000_020.5,
        "stop_requested_at": 1_700_000_015.0,
        "input_digests": (("inputs/1/0", "ab" * 32), ("inputs/2/0", "cd" * 32)),
        "losses": 1,
        "verdicts": (
            Verdict("a.csv", "output", 3, "ab" * 32, released=True),
            Verdict("\udcff\0\n\u2028", "output", 3, "ab" * 32, released=False, reason="bad_name"),
        ),
        "results": (ResultFile("a.csv", 3, "output", "ab" * 32, "key/1/a"), ResultFile("all.tar", 9, "output", "", "")),
        "wait_until": 1_700_000_300.5,
        "image_digest": "sha256:" + "ef" * 32,
        "held_at": 1_700_000_018.0,
        "review": "released",
        "notify": True,
        "mock": True,
        "tier": Tier(free=True, metadata='{"name": "a job"}', viewers=(BOB,)),
        "history": (Attempt(1, Outcome.PROVIDER_FAILED, "run_lost", None, 1_700_000_009.0),),
    }
    return a_job(**{**fields, **changes})
