"""Random lives of the engine for as long as asked: `python -m tests.engine.long_lives --steps 20000`.

Prints what happened, as numbers of events. A breach is shrunk to the shortest life that shows it, and raised.
"""

import argparse
import logging
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.engine.test_engine_machine import Lives

STEPS_OF_A_LIFE = 50


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=20_000)
    given = options.parse_args()
    logging.disable(logging.CRITICAL)  # a daemon that dies has much to say
    seen: Counter[str] = Counter()
    steps = 0
    began = time.monotonic()

    class Counted(Lives):
        def guarantees_hold(self) -> None:
            nonlocal steps
            steps += 1
            super().guarantees_hold()

        def teardown(self) -> None:
            super().teardown()
            seen.update(event.kind.value for event in self.events())

    while steps < given.steps:
        lives = settings(
            max_examples=max(1, (given.steps - steps) // STEPS_OF_A_LIFE),
            stateful_step_count=STEPS_OF_A_LIFE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(Counted, settings=lives)
    print(f"{steps} steps in {time.monotonic() - began:.0f} s, no breach")
    for kind, count in seen.most_common():
        print(f"  {count:8} {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
