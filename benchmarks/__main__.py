"""Runs benchmarks, one after the other: ``python -m benchmarks [NAME ...]``, all of them without a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

scripts = {script.stem: script for script in sorted(Path(__file__).parent.glob("[a-z]*.py"))}
names = sys.argv[1:] or list(scripts)
unknown = [name for name in names if name not in scripts]
if unknown:
    sys.exit(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(scripts)}.")
failed = []
for name in names:
    print(f"== {name}", flush=True)
    if subprocess.run([sys.executable, str(scripts[name])], check=False).returncode:
        failed.append(name)
if failed:
    sys.exit(f"{', '.join(failed)} failed")
