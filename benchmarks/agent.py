"""The agent of every contender: says when it began, then behaves like the scripted program of the kit.

`python -I -S agent.py MODE STAMPS [flags]`. A run (one with the flag -p, as the agent's CLI is run) appends the
monotonic clock, in nanoseconds, to the file STAMPS. MODE `run` then answers and ends, `hold` stays until a signal.
"""

import time

BEGUN = time.monotonic_ns()  # before any other import: this is the moment that is measured

# ruff: noqa: E402 - see above; and importing pathlib takes as long as a whole run
import os
import sys


def main() -> None:
    mode, stamps = sys.argv[1:3]
    del sys.argv[1:3]
    if "-p" in sys.argv:
        stamp = os.open(stamps, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(stamp, b"%d\n" % BEGUN)
        if mode == "hold":
            import signal

            signal.signal(signal.SIGINT, signal.SIG_DFL)
            while True:
                signal.pause()
    kit = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src", "orchestrator", "kit")
    sys.path.append(kit)
    __import__("scripted_program").main()


main()
