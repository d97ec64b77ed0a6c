"""Writes lines at odd times, each with the moment of its writing (CLOCK_MONOTONIC)."""

import random
import sys
import time

random.seed(1)
for _ in range(int(sys.argv[-1])):
    time.sleep(random.uniform(0.02, 0.2))  # noqa: S311  # not in step with any poll
    print(f"written {time.monotonic()}", flush=True)
