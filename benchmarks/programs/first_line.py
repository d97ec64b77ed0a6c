"""A rank whose first line tells when it was written, in seconds since the epoch."""

import time

print(f"first line {time.time()}", flush=True)
