"""Ask PyPI whether the locked requirements have known vulnerabilities: `python -m tests.audit`.

Where the service does not answer, such as behind a mirror, this prints one line and is no failure.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
SERVICE = "https://pypi.org/pypi"
TIMEOUT_S = 10


def problem(service: str, requirements: Path) -> str | None:
    """Return why a service tells nothing of vulnerabilities, None if it does.

    Args:
        service: its address.
        requirements: a locked file, whose first package it is asked for.
    """
    name, _, version = requirements.read_text(encoding="utf-8").split()[0].partition("==")
    address = f"{service}/{name}/{version}/json"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S):  # noqa: S310  # the address above
            return None
    except (OSError, urllib.error.URLError) as error:
        return f"{address}: {error}"


def main() -> int:
    """Return the exit code of pip-audit, 0 where it was left out."""
    files = sorted(REQUIREMENTS.glob("*.txt"))
    why = problem(SERVICE, files[0])
    if why is not None:
        print(f"pip-audit was left out: {why}")  # noqa: T201  # its only output
        return 0
    # --strict: a package that the service does not know is no success.
    argv = [sys.executable, "-m", "pip_audit", "--strict", "--disable-pip", "--require-hashes"]
    listed = [word for file in files for word in ("--requirement", str(file))]
    return subprocess.run([*argv, "--progress-spinner=off", *listed], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
