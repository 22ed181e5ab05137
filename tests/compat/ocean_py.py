"""A way to run a scenario of ocean.py, which has a Python environment of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.world import CONTAINER, FOLDER, OCEAN_PY, PATIENCE, World, key_of
from tests.support.programs import environment

_PLACE = FOLDER / "oceanpy"
PYTHON = _PLACE / ".venv" / "bin" / "python"
#: Written by install.sh at its end.
INSTALLED = _PLACE / ".venv" / ".installed"


@dataclass(frozen=True)
class OceanPy:
    """The library, set up for a world, with the accounts of a publisher and of a consumer."""

    world: World
    #: Where the library is told the contracts' addresses.
    addresses: Path

    @classmethod
    def at(cls, world: World, folder: Path) -> OceanPy:
        """Set it up in a folder."""
        file, known = folder / "address.json", world.addresses
        contracts = {
            "chainId": known.chain_id,
            "ERC721Factory": known.factory,
            "Router": known.router,
            "FixedPrice": known.fixed_rate,
            "Dispenser": known.dispenser,
            "Ocean": known.fee_token,
        }
        file.write_text(json.dumps({"development": contracts}))
        return cls(world, file)

    def scenario(self, name: str, **given: Any) -> Any:
        """Run a scenario, and give its JSON."""
        asked = {
            "scenario": name, "url": self.world.url, "rpc": self.world.rpc, "addresses": str(self.addresses),
            "keys": [key_of(number) for number in OCEAN_PY], "container": CONTAINER, **given,
        }  # fmt: skip
        ended = subprocess.run(
            [PYTHON, _PLACE / "client.py"], cwd=self.addresses.parent, env=environment(HOME="/nonexistent"),
            input=json.dumps(asked), capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)
