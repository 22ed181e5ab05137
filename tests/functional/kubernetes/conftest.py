"""These tests are about a cluster: without one they are none of ``make test``'s."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("COVE_TEST_KUBERNETES") == "1" else ["test_*.py"]
