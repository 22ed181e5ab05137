"""A daemon of the tests leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import select
from pathlib import Path

from tests.support import daemons


def processes_of(folder: Path) -> list[int]:
    """Name the processes that were told of a daemon's folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/".encode() in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_containers_of_a_daemon_that_was_killed_end_with_it() -> None:
    """As one that is made for a service while the containers there are removed."""
    daemons.end_all()
    daemon = daemons.docker()
    with daemon.client() as http:
        body = {
            "Image": daemons.HELPER,
            "Cmd": ["/bin/busybox", "sleep", "1000"],
            "HostConfig": {"NetworkMode": "none"},
        }
        made = http.post("/containers/create", json=body).json()["Id"]
        assert http.post(f"/containers/{made}/start").is_success
        state = http.get(f"/containers/{made}/json").json()["State"]
    daemon.kill()
    contained = os.pidfd_open(state["Pid"])
    assert processes_of(daemon.folder)
    daemons.end_all()
    assert select.select([contained], [], [], 0)[0], "the container goes on"
    os.close(contained)
    assert processes_of(daemon.folder) == []
    assert not daemon.folder.exists()
