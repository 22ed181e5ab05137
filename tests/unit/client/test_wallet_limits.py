"""What importing the wallet leaves of the process it is imported into."""

from __future__ import annotations

import subprocess
import sys


def test_nested_json_still_is_an_error_and_not_the_end_of_the_process() -> None:
    program = (
        "import json\n"
        "import cove.client.wallet\n"
        "try:\n"
        "    json.loads('[' * 100_000)\n"
        "except RecursionError:\n"
        "    print('an error')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "an error\n")
