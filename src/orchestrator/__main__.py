"""`python -m orchestrator` is `main.py` where the package is installed."""

import sys

from orchestrator.app import main

if __name__ == "__main__":
    sys.exit(main())
