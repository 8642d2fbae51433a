"""The control of the load harness: takes in what it is notified of, and never looks at the folder itself.

`python naive_watcher.py FOLDER OUTPUT` writes `ready`, then the name of every file that appears, one a line.
"""

import sys
from pathlib import Path

import watchfiles


def main(folder: str, output: str) -> None:
    with open(output, "a", buffering=1) as out:
        for changes in watchfiles.watch(
            folder, watch_filter=None, recursive=False, step=10, debounce=10, rust_timeout=50, yield_on_timeout=True
        ):
            names = {Path(path).name for _, path in changes}
            out.writelines(f"{name}\n" for name in (names or {"ready"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
