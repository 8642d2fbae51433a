"""The daemon as it is, but one that waits for a database locked by others for two seconds instead of thirty.

`python -m tests.e2e.impatient_daemon --root DIR`
"""

import sys
from functools import partial

import orchestrator.compose
from orchestrator.app import main
from orchestrator.bridges.sqlite import open_store

BUSY_S = 2.0

if __name__ == "__main__":
    orchestrator.compose.open_store = partial(open_store, busy_timeout_s=BUSY_S)  # type: ignore[attr-defined]
    sys.exit(main())
