"""The compose file, as far as it can be judged without a compose: what it says is there, and how hard the service is."""

from __future__ import annotations

from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_it_builds_our_image_and_gives_the_service_nothing_but_the_socket() -> None:
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    assert service["ports"] == ["127.0.0.1:8030:8030"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    targets = {volume.removesuffix(":ro").rpartition(":")[2] for volume in service["volumes"]}
    text = (DEPLOY / "Containerfile").read_text()
    assert "/var/lib/cove/state" in targets
    assert "VOLUME /var/lib/cove/state" in text
    assert "USER 10001:10001" in text
