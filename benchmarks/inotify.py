"""The bare minimum that notices a file: inotify by ctypes. As a program it is the reference for latency.

`python -m benchmarks.inotify FOLDER PROGRAM [ARGUMENT ...]` starts PROGRAM for every file renamed into FOLDER.
It reads no file, keeps nothing, checks nothing: what is left is the price of the kernel and of starting a program.
"""

import ctypes
import os
import select
import struct
import subprocess
import sys
from pathlib import Path

IN_MODIFY, IN_MOVED_TO = 0x2, 0x80
_HEAD = struct.Struct("iIII")


class Inotify:
    """A watch on one folder. Close it with `close`."""

    def __init__(self, folder: Path, mask: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.inotify_init1(os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {folder}")
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)

    def names(self, timeout_s: float) -> list[str]:
        """Return the names that something happened to since the last call; waits for it, at most *timeout_s*."""
        if not self._poll.poll(timeout_s * 1000):
            return []
        data, at, found = os.read(self.fd, 65536), 0, []
        while at < len(data):
            length = _HEAD.unpack_from(data, at)[3]
            at += _HEAD.size
            found.append(os.fsdecode(data[at : at + length].rstrip(b"\0")))
            at += length
        return found

    def close(self) -> None:
        os.close(self.fd)


def main() -> None:
    watch = Inotify(Path(sys.argv[1]), IN_MOVED_TO)
    running: list[subprocess.Popen[bytes]] = []
    print("ready", flush=True)
    while True:
        names = watch.names(0.2)
        running += [subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in names]
        running = [child for child in running if child.poll() is None]


if __name__ == "__main__":
    main()
