"""The kinds of jobs of a soak: what each does, and how it may end.

Each algorithm locks its input, of which it has the only one: a second run at the same time ends with an exit code of its
own, wherever it was started.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from tests.support.jobs import a_job
from tests.support.site import DID, NFT, PUBLISHER, TOKEN

from cove.core.job import Container, InputAsset, Job, Outcome, Package, Resources, SealedFiles
from cove.core.releasepolicy import ReleasePolicy, ReviewMode, ReviewRules
from cove.crypto.box import KeyVault
from cove.jobs.steps import pack

TWICE = 97
CHECKSUM = "sha256:" + "0" * 64
#: Images by environment: one that runs, and one that cannot be had.
IMAGES = {"default": ("cove/host", "cove/broken"), "containers": ("host", "127.0.0.1:1/none")}

_LOCK = f"""
import fcntl, os, signal, socket, sys, time
from pathlib import Path

lock = open('/data/inputs/{"a" * 64}/0')
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    os._exit({TWICE})
out = Path('/data/outputs')
"""
_HOSTILE = r"""
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)
(out / 'ok').write_text('ok')
os.link(out / 'ok', out / 'same')
os.symlink('/etc/shadow', out / 'link')
os.symlink('.', out / 'round')
os.mkfifo(out / 'pipe')
socket.socket(socket.AF_UNIX).bind(str(out / 'socket'))
(out / '/'.join(['deep'] * 40)).mkdir(parents=True)
(out / 'closed').mkdir()
(out / 'closed' / 'in').write_text('in')
(out / 'closed').chmod(0)
(out / 'none').write_text('none')
(out / 'none').chmod(0)
(out / 'line\nbreak').write_text('x')
open(bytes(out) + b'/\xff\xfe', 'wb').close()
with open(out / 'holes', 'wb') as file:
    file.truncate(1 << 20)
for number in range(300):
    (out / f'many{number}').touch()
"""


@dataclass(frozen=True)
class Kind:
    """What a job does, and what may come of it where nothing is amiss with the house."""

    code: str
    outcomes: frozenset[Outcome]
    #: None for any.
    reason: str | None = ""
    #: Files that are always among the results.
    results: frozenset[str] = frozenset()
    seconds: int = 60
    #: What its owner does to it: ``stop``, ``delete`` or ``restart``.
    wish: str = ""
    #: Seconds that it may wait for its run; None for as long as it takes.
    patience: float | None = None
    #: How often it comes among others.
    weight: int = 2


def _kind(code: str, outcome: Outcome, reason: str | None = "", **more: object) -> Kind:
    return Kind(_LOCK + code, frozenset({outcome}), reason, **more)  # type: ignore[arg-type]


#: Nobody is there to look: what would be held for a person is refused.
_ALONE = ReleasePolicy(review=ReviewRules(ReviewMode.NONE))
_GOOD = "time.sleep({pause})\n(out / 'r.txt').write_text(lock.read())\nprint('fine')"
_R = frozenset({"r.txt", "algorithm.log"})

KINDS = {
    "good": _kind(_GOOD.format(pause=0), Outcome.SUCCEEDED, results=_R, weight=6),
    "slow": _kind(_GOOD.format(pause=2), Outcome.SUCCEEDED, results=_R, weight=4),
    "exit": _kind("(out / 'part').touch()\nsys.exit(3)", Outcome.ALGORITHM_FAILED, "exit_code_3"),
    "memory": _kind("x = []\nwhile True: x.append(b'x' * (1 << 20))", Outcome.ALGORITHM_FAILED, None),
    "time": _kind("print('waits', flush=True)\ntime.sleep(300)", Outcome.TIMED_OUT, "time_limit", seconds=1),
    "hostile": _kind(_HOSTILE, Outcome.SUCCEEDED, results=frozenset({"ok"})),
    "log": _kind("for _ in range(30_000): print('x' * 99)", Outcome.SUCCEEDED, results=frozenset({"algorithm.log"})),
    "full": _kind(
        "with open(out / 'x', 'wb') as file:\n for _ in range(64): file.write(bytes(1 << 20))",
        Outcome.ALGORITHM_FAILED,
        None,
    ),
    "stop": _kind("time.sleep(300)", Outcome.STOPPED, "stopped", wish="stop", seconds=120),
    "delete": _kind("time.sleep(3)", Outcome.SUCCEEDED, wish="delete"),
    "restart": _kind(_GOOD.format(pause=0), Outcome.SUCCEEDED, results=_R, wish="restart"),
    "image": Kind("", frozenset({Outcome.ALGORITHM_FAILED, Outcome.PROVIDER_FAILED}), None, weight=1),
    "missing": Kind("", frozenset({Outcome.PROVIDER_FAILED}), "data_unavailable", weight=1),
    "late": Kind(_LOCK, frozenset({Outcome.SUCCEEDED, Outcome.TIMED_OUT}), None, patience=2.0),
}


@dataclass
class Placed:
    """A job that was put in."""

    job: Job
    kind: str
    #: What the driver has done to it.
    wished: bool = field(default=False)


def make(number: int, kind: str, environment: str, owner: str, vault: KeyVault) -> tuple[Placed, bytes]:
    """Make a job of a kind with its sealed package; its input is named by its id."""
    told, now = KINDS[kind], time.time()
    job = a_job(
        owner=owner,
        environment=environment,
        agreement_id=f"0x{number:064x}",
        dataset_dids=(DID,),
        algorithm_did="",
        resources=Resources(1.0, 96 << 20, 16 << 20, 1000, 32, told.seconds, 1 << 20),
        created_at=now,
        expires_at=0.0,
        wait_until=None if told.patience is None else now + told.patience,
    )
    path = "nothing" if kind == "missing" else job.id
    files = {"datatokenAddress": TOKEN, "nftAddress": NFT, "files": [{"type": "local", "root": "data", "path": path}]}
    sealed = SealedFiles("0x" + vault.encrypt(json.dumps(files).encode()).hex(), TOKEN, NFT)
    image = IMAGES[environment][kind == "image"]
    package = Package(
        (InputAsset(DID, "1", sealed, publisher=PUBLISHER),),
        InputAsset("", "", None),
        Container(image, "", "" if kind == "image" and environment == "containers" else CHECKSUM, "python3 $ALGO"),
        told.code,
        policy=_ALONE,
    )
    return Placed(job, kind), vault.seal(pack(package))
