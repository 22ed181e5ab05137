"""What importing the wallet, and keys of other programs, leaves of the process they are imported into."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["wallet", "accounts"])
def test_nested_json_still_is_an_error_and_not_the_end_of_the_process(module: str) -> None:
    program = (
        "import json\n"
        f"import cove.client.{module}\n"
        "try:\n"
        "    json.loads('[' * 100_000)\n"
        "except RecursionError:\n"
        "    print('an error')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "an error\n")
