"""The daemon as it is, but nothing it writes is brought to the disk: to see what that costs. For the benchmarks only.

`python -m benchmarks.unsynced --root DIR`. The product has no such setting and gets none.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path


def unsync() -> None:
    """Make every fsync of this process do nothing, take SQLite's away, and tell supervisors to do without theirs."""
    from orchestrator.bridges import process, sqlite_file

    os.fsync = lambda _: None
    pragmas = tuple("synchronous=OFF" if one == "synchronous=FULL" else one for one in sqlite_file._PRAGMAS)
    if pragmas == sqlite_file._PRAGMAS:
        raise RuntimeError("the store does not say synchronous=FULL any more: mend this benchmark")
    sqlite_file._PRAGMAS = pragmas
    pack = process._pack

    def unsynced(launch: process.Launch, folder: Path) -> bytes:
        return pack(replace(launch, durable=False), folder)

    process._pack = unsynced


if __name__ == "__main__":
    from orchestrator.app import main

    unsync()
    sys.exit(main())
