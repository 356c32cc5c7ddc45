"""These tests run where they are asked for (MANAGED=1, as `make test-managed` sets it)."""

import os

collect_ignore_glob = [] if os.environ.get("MANAGED") else ["test_*.py"]
