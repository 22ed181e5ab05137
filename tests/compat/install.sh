#!/usr/bin/env bash
# Installs what the tests of this folder need beside Node: the published clients, and a chain. Safe to run twice.
set -euo pipefail
cd "$(dirname "$0")"
if cmp -s package.json node_modules/.installed; then
  exit 0
fi
if ! command -v npm >/dev/null; then
  echo "npm is not there: apt-get install nodejs npm" >&2
  exit 1
fi
# The clients run no install scripts, and anvil's binary comes in a package of its own.
npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
cp package.json node_modules/.installed
