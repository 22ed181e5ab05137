#!/usr/bin/env bash
# Installs the published ocean.py in a virtual environment of its own, beside this file. Safe to run twice.
set -euo pipefail
cd "$(dirname "$0")"
if cmp -s requirements.txt .venv/.installed; then
  exit 0
fi
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "What ocean.py needs was last built for Python 3.11, and $python is another: set PYTHON to a 3.11" >&2
  exit 1
fi
rm -rf .venv
"$python" -m venv .venv
# All of it is pinned, so that pip need not look for a set that fits together (which takes minutes); and none is compiled.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --requirement requirements.txt
cp requirements.txt .venv/.installed
