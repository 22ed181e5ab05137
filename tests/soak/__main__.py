"""``make soak``."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys

from tests.soak import soak
from tests.support import daemons


def main() -> int:
    """Shake the house, and say what was found: 0 for nothing."""
    parser = argparse.ArgumentParser(description=soak.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    can = os.getuid() == 0 and all(shutil.which(name) for name in ("dockerd", "runc", "busybox"))
    parser.add_argument("--engine", choices=("sandbox", "both"), default="both" if can else "sandbox")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it finds everything put away, too
    try:
        daemon = daemons.docker() if options.engine == "both" else None
        report = asyncio.run(soak.soak(options.seed, options.seconds, daemon))
    finally:
        daemons.end_all()
    sys.stdout.write(f"{report}\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
