"""Whether what was installed can be imported: run as the builder runs it, by old Pythons too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.environment.build import import_check
from launcher.environment.build.builder import torch_hint
from launcher.environment.recipe.interpreters import candidates
from launcher.environment.recipe.requirements import name_of

SCRIPT = Path(import_check.__file__)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def put(site: Path, name: str, files: dict[str, str], version: str = "1.0") -> Path:
    """Install a distribution."""
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in [*files, f"{info.name}/RECORD,,"]))
    return info


def check(site: Path, python: str = sys.executable, **request: Any) -> subprocess.CompletedProcess[str]:
    asked: dict[str, Any] = {
        "modules": [],
        "distributions": [],
        "conda": [],
        "addresses": False,
        "skip": [],
        "limit_s": 20,
    }
    return subprocess.run(
        [python, str(SCRIPT), json.dumps({**asked, **request})],
        env={**os.environ, "PYTHONPATH": str(site), "DISPLAY": ""},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_public_modules_at_the_top_count() -> None:
    paths = [
        "pkg/__init__.py", "pkg/inner/__init__.py", "single.py", "_private.py", "built.abi3.so", "../tool",
        "space/inner/__init__.py", "pkg-stubs/__init__.pyi", "typed/__init__.pyi", "tests/__init__.py",
        "a-1.dist-info/METADATA", "__pycache__/single.pyc", "hook.pth", "data/file.txt",
        "native/__init__.cpython-311-x86_64-linux-gnu.so", "pytest_plugin/__init__.py",
    ]  # fmt: skip
    assert import_check.top_level(paths) == ["built", "native", "pkg", "pytest_plugin", "single"]


def test_what_was_asked_for_is_imported_and_nothing_else(site: Path) -> None:
    put(site, "Good_Name", {"good.py": "print('good ran')\n"})
    put(site, "other", {"other.py": "1 / 0\n"})
    put(site, "types_x", {"x-stubs/__init__.pyi": ""})
    done = check(site, distributions=["good.name", "types-x", "nonesuch"])
    assert (done.returncode, done.stdout) == (0, "good ran\n"), done.stderr


def test_a_failure_names_package_module_and_last_lines(site: Path) -> None:
    put(site, "vision", {"vision/__init__.py": "def f():\n    raise RuntimeError('no op é')\nf()\n"}, "0.3")
    put(site, "other", {"other.py": "import nonesuch\n"})
    done = check(site, distributions=["vision", "other"])
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "vision 0.3: importing vision failed: RuntimeError: no op \\xe9" in lines
    assert "    raise RuntimeError('no op \\xe9')" in lines
    assert any("other 1.0: importing other failed: ModuleNotFoundError" in line for line in lines)
    for skip in (["vision", "Other"], ["*"]):
        assert check(site, distributions=["vision", "other"], skip=skip).returncode == 0


def test_a_module_that_cannot_live_with_others_is_tried_again_alone(site: Path) -> None:
    put(site, "a", {"a.py": ""})
    put(site, "b", {"b.py": "import sys, os\nif 'a' in sys.modules: os.kill(os.getpid(), 11)\n"})
    put(site, "c", {"c.py": "import sys\nassert 'a' not in sys.modules\n"})
    done = check(site, distributions=["a", "b", "c"])
    assert done.returncode == 0, done.stdout
    assert "b 1.0: trying again without what was imported before b" in done.stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "odd 1.0: importing odd was killed by signal 9"),
        ("import time; time.sleep(60)", "odd 1.0: importing odd did not end in time"),
        ("class Stop(BaseException): pass\nraise Stop", "importing odd failed: Stop"),
    ],
)
def test_modules_that_never_return(site: Path, code: str, words: str) -> None:
    put(site, "odd", {"odd.py": code})
    done = check(site, distributions=["odd"], limit_s=3)
    assert done.returncode == 1
    assert words in done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "raise ImportError('libcuda.so.1: cannot open shared object file')",
        "import os; raise KeyError('DISPLAY')",
        "raise SystemExit('usage: odd FILE')",
    ],
)
def test_what_needs_a_gpu_or_a_screen_and_programs_pass(site: Path, code: str) -> None:
    put(site, "odd", {"odd.py": code})
    put(site, "later", {"later.py": "print('later ran')"})
    done = check(site, distributions=["odd", "later"])
    assert (done.returncode, "later ran" in done.stdout) == (0, True)


def test_packages_of_addresses_and_of_conda(site: Path, tmp_path: Path) -> None:
    info = put(site, "mine", {"mine.py": "1 / 0"})
    (info / "direct_url.json").write_text("{}")
    assert check(site).returncode == 0
    assert "mine 1.0: importing mine failed" in check(site, addresses=True).stdout
    prefix = tmp_path / "conda"
    put_conda = prefix / "conda-meta" / "some-demo-3.1-py_0.json"
    put_conda.parent.mkdir(parents=True)
    put_conda.write_text(
        json.dumps({"version": "3.1", "files": ["lib/python3/site-packages/mine.py", "bin/x"]})
    )
    run = f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    code = f"import sys, runpy; sys.prefix = {str(prefix)!r}; {run}"
    request = {"modules": [], "distributions": [], "conda": ["some-demo"], "addresses": False, "skip": []}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps({**request, "limit_s": 20})],
        env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "some-demo 3.1: importing mine failed: ZeroDivisionError" in done.stdout, done.stderr


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.13"])
def test_other_pythons(site: Path, version: str) -> None:
    found = candidates(version, None)
    if not found:
        pytest.skip(f"no Python {version} on this machine")
    put(site, "good", {"good.py": "import sys; print('%d.%d' % sys.version_info[:2])\n"})
    put(site, "bad", {"bad.py": "1 / 0"})
    done = check(site, python=found[0], distributions=["good", "bad"])
    assert version in done.stdout.splitlines(), done.stderr
    assert "bad 1.0: importing bad failed: ZeroDivisionError" in done.stdout


def test_builds_of_pytorch_from_different_places_are_named() -> None:
    mixed = ["six==1", "torch==2.13.0+cpu", "torchvision==0.28.0", "torchmetrics==1.0"]
    assert torch_hint(mixed).startswith("torch 2.13.0+cpu and torchvision 0.28.0 are different builds: ")
    assert torch_hint(["torch==2.13.0+cpu", "torchvision==0.28.0+cpu", "torchaudio==2+cpu"]) == ""
    assert torch_hint(["torch==2.13.0", "torchvision==0.28.0"]) == torch_hint([]) == ""


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("six", "six"), ("six>=1", "six"), ("a.b-c [x] == 1", "a.b-c"), ("x @ file:///y.whl", "x"),
        ("six; python_version>'3'", "six"), ("six --hash=sha256:0", "six"), ("--no-binary six", ""),
        ("/a/b.whl", ""), ("git+https://x/y", ""), ("https://x/y.whl", ""), ("file:///a", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_requirement(line: str, name: str) -> None:
    assert name_of(line) == name
