"""One node: what is prepared on it, and the processes that an attempt has there."""
