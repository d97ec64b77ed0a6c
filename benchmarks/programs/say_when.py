"""A rank that notes when it began in a file of its own; one folder is the argument."""

import os
import sys
import time

with open(os.path.join(sys.argv[-1], f"{os.getpid()}-{os.uname().nodename}"), "w") as file:  # noqa: PTH118, PTH123
    file.write(str(time.time()))
