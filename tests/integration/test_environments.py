"""Environments that are really built, from an index and a channel that the tests make."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from launcher.capabilities import Capabilities, EnvironmentRequest, Framework, Needs
from launcher.environment import Packages, environments, prepared, remove
from launcher.environment.build.builder import build_once
from launcher.environment.recipe.conda import solver
from launcher.environment.recipe.frameworks import Release
from launcher.environment.recipe.horovod import HorovodRequest
from launcher.environment.recipe.interpreters import choose_interpreter
from launcher.environment.recipe.key import Recipe
from launcher.errors import BuildError
from launcher.facts import Facts
from launcher.spec import Prepared
from tests.conda_channel import add_file, make_channel
from tests.local_package import put_package

pytestmark = pytest.mark.slow

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

BACKEND = """
import os, subprocess, sys, time, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    # like a compiler: a tree of processes, one of them in a session of its own
    subprocess.Popen(["sleep", "SECONDS"], start_new_session=True)
    subprocess.run(["sh", "-c", "sleep SECONDS & wait"])
    name = "slowdemo-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("slowdemo.py", "")
        info = "slowdemo-1.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: slowdemo\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""


@dataclass
class Told:
    """Keeps what is told."""

    steps: list[str] = field(default_factory=list[str])

    def step(self, text: str, done: float | None = None) -> None:
        assert done is None or 0 <= done <= 1
        self.steps.append(text)


def request(framework: str = "python") -> EnvironmentRequest:
    return EnvironmentRequest(
        framework=Framework(name=framework), gpus=False, needs=Needs(), target=Capabilities(), compute="local"
    )


def prepare(
    environment: Packages, cache: Path, progress: Told | None = None, framework: str = "python"
) -> Prepared:
    return environment.prepare(request(framework), Facts(), cache, progress or Told())


def put_wheel(index: Path, name: str, version: str, requires: str = "") -> None:
    """Put a wheel of one module into an index."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    need = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{need}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    links = "".join(
        f'<a href="{path.name}">{path.name}</a>\n'
        for path in sorted(folder.iterdir())
        if path.suffix in {".whl", ".gz"}
    )
    (folder / "index.html").write_text(links)


def put_slow_source(index: Path, seconds: float) -> None:
    """Put a source distribution that takes its time to build."""
    folder = index / "slowdemo"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "PKG-INFO": "Metadata-Version: 2.2\nName: slowdemo\nVersion: 1\n",
        "backend.py": BACKEND.replace("SECONDS", str(seconds)),
    }
    with tarfile.open(folder / "slowdemo-1.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            add_file(archive, f"slowdemo-1/{name}", text.encode())
    (folder / "index.html").write_text('<a href="slowdemo-1.tar.gz">slowdemo-1.tar.gz</a>\n')


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of our own, told to pip as users do; what this machine has is left out."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    put_wheel(folder, "demo", "1.0")
    put_wheel(folder, "demo", "2.0", requires="inner")
    put_wheel(folder, "inner", "0.5")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def output(made: Prepared, code: str) -> str:
    done = subprocess.run([made.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.usefixtures("index")
def test_packages_are_installed_once_and_found_at_once(cache: Path) -> None:
    told = Told()
    made = prepare(Packages(pip_packages=["Demo"]), cache, told)
    assert output(made, "import demo, inner; print(demo.version, inner.version)") == "2.0 0.5"
    assert made.packages == ("demo==2.0", "inner==0.5")
    assert any("2 packages" in step for step in told.steps)
    assert prepared(cache, made.key) == made
    assert list(environments(cache)) == [made]
    again = Told()
    assert prepare(Packages(pip_packages=[" demo "]), cache, again) == made
    assert again.steps == []
    assert list((cache / "leases").iterdir()) == []
    assert remove(cache, made.key)
    assert prepared(cache, made.key) is None
    assert not remove(cache, made.key)


def test_requirement_files_and_constraints(
    index: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del index
    (tmp_path / "inner.txt").write_text("demo\n")
    (tmp_path / "requirements.txt").write_text("-r inner.txt\n")
    option = Packages(requirements_file=str(tmp_path / "requirements.txt"))
    newest = prepare(option, cache)
    (tmp_path / "constraints.txt").write_text("demo<2\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    held = prepare(option, cache)
    assert (newest.packages[0], held.packages) == ("demo==2.0", ("demo==1.0",))


def test_paths_count_from_the_file_that_names_them(index: Path, cache: Path, tmp_path: Path) -> None:
    project = tmp_path / "my project"
    for name in ("pkgx", "sub/pkgy", "edit", "named"):
        put_package(project / name, f"value = {name!r}\n")
    put_wheel(project / "wheels", "linked", "3.0")
    put_wheel(project, "wheel", "1.0")
    (project / "sub" / "more.txt").write_text("./pkgy[all] ; python_version > '3'\n-c limits.txt\n")
    (project / "sub" / "limits.txt").write_text("demo<2\n")
    (project / "requirements.txt").write_text(
        "./pkgx\n-e ./edit\nnamed @ file:named\n./wheel/wheel-1.0-py3-none-any.whl\n"
        "-r sub/more.txt\n--find-links ./wheels/linked\nlinked\ndemo\n"
    )
    before = sorted(project.rglob("*"))
    option = Packages(requirements_file="requirements.txt", pip_packages=["./sub/pkgy"]).located(project)
    assert list(option.check(request(), Facts())) == []
    made = prepare(option, cache)
    uri = project.as_uri()
    assert made.packages == (
        "demo==1.0",
        f"edit @ {uri}/edit",
        "linked==3.0",
        f"named @ {uri}/named",
        f"pkgx @ {uri}/pkgx",
        f"pkgy @ {uri}/sub/pkgy",
        f"wheel @ {uri}/wheel/wheel-1.0-py3-none-any.whl",
    )
    assert sorted(project.rglob("*")) == before
    assert not list(Path(made.prefix).glob("*.tar.gz"))
    show = "import edit, pkgy; print(edit.value, pkgy.value, edit.__file__)"
    assert output(made, show) == f"edit sub/pkgy {made.prefix}/{SITE}/edit.py"
    assert prepare(option, cache) == made
    (project / "edit" / "edit.py").write_text("value = 'changed'\n")
    changed = prepare(option, cache)
    assert output(changed, show).startswith("changed sub/pkgy")
    assert output(made, show).startswith("edit sub/pkgy")
    del index


def test_a_package_that_does_not_exist(index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://name:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(BuildError) as caught:
        prepare(Packages(pip_packages=["demo==99"]), cache)
    text = str(caught.value)
    assert "Installing packages failed" in text
    assert "The index cannot be reached" in text
    logs = "".join(path.read_text() for path in cache.rglob("build.log"))
    assert "hunter2" not in text + logs
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL")
    with pytest.raises(BuildError, match="demo==99"):
        prepare(Packages(pip_packages=["demo==99"]), cache)
    assert list(environments(cache)) == []
    assert not [path for path in (cache / "environments").glob("*/*") if path.is_dir()]
    put_wheel(index, "demo", "99")
    assert prepare(Packages(pip_packages=["demo==99"]), cache).packages == ("demo==99",)


def test_ready_means_that_the_import_ran(index: Path, cache: Path) -> None:
    put_wheel(index, "scikit_learn", "1.7.2")  # a wheel without the module that it is for
    put_wheel(index, "numpy", "2.0")
    (index / "scikit_learn").rename(index / "scikit-learn")
    with pytest.raises(BuildError, match="sklearn: importing sklearn failed: ModuleNotFoundError"):
        prepare(Packages(), cache, framework="sklearn")
    assert list(environments(cache)) == []


def test_ready_means_that_what_was_asked_for_can_be_imported(
    index: Path, cache: Path, tmp_path: Path
) -> None:
    put_wheel(index, "torch", "2.0+cpu")
    put_wheel(index, "torchvision", "0.9")
    package = put_package(tmp_path / "torchvision", "raise RuntimeError('operator nms does not exist')\n")
    (tmp_path / "requirements.txt").write_text("torch\n./torchvision\n")
    option = Packages(requirements_file=str(tmp_path / "requirements.txt"))
    with pytest.raises(BuildError) as caught:
        prepare(option, cache)
    text = str(caught.value)
    assert "importing torchvision failed: RuntimeError: operator nms does not exist" in text
    assert "environment.skip_imports" in text
    assert list(environments(cache)) == []
    skipped = replace(option, skip_imports=["torchvision"])
    made = prepare(skipped, cache)
    assert prepare(option, cache) == made  # the key is the same, and what is ready stays so
    named = Packages(pip_packages=["torch", f"torchvision @ {package.as_uri()}"])
    with pytest.raises(BuildError, match="torchvision 1: importing torchvision failed"):
        prepare(named, cache)


LAUNCH = textwrap.dedent("""
    import importlib.util, sys
    from pathlib import Path
    module = importlib.util.spec_from_file_location("shared", sys.argv[1])
    shared = importlib.util.module_from_spec(module)
    sys.modules["shared"] = shared
    module.loader.exec_module(shared)
    told = shared.Told()
    print("begun", flush=True)
    made = shared.prepare(shared.Packages(pip_packages=[sys.argv[3]]), Path(sys.argv[2]), told)
    print(made.prefix)
    for step in told.steps:
        print(step)
""")


def launch(cache: Path, package: str) -> subprocess.Popen[str]:
    """Start another launcher."""
    argv = [sys.executable, "-c", LAUNCH, __file__, str(cache), package]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_twenty_launches_build_once(index: Path, cache: Path) -> None:
    put_slow_source(index, 1.5)
    launched = [launch(cache, "slowdemo") for _ in range(20)]
    said = [process.communicate(timeout=120)[0].splitlines() for process in launched]
    assert [process.returncode for process in launched] == [0] * 20, said
    assert len({lines[1] for lines in said}) == 1
    built = [lines for lines in said if any(line.startswith("Creating") for line in lines)]
    assert len(built) == 1
    for lines in said:
        assert (
            lines in built
            or len(lines) == 2
            or all("Waiting for another launch" in line for line in lines[2:])
        )
    assert any("Waiting" in lines[-1] for lines in said)
    assert list((cache / "leases").iterdir()) == []


def of_this_build(cache: Path) -> list[int]:
    """Return the processes that a build into this cache started."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if state not in "ZX" and str(cache).encode() in text:
            found.append(int(folder.name))
    return found


def wait_until(true: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after_s", [0.0, 0.15, 0.6])
def test_a_killed_build_leaves_nothing_and_the_next_succeeds(
    index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, after_s: float
) -> None:
    put_slow_source(index, 1.0)
    monkeypatch.setenv("BUILD_OF", str(cache))  # marks every process below
    process = launch(cache, "slowdemo")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(after_s)
    process.send_signal(number)
    process.wait(10)
    process.stdout.close()
    wait_until(lambda: not of_this_build(cache), 5)
    assert list(environments(cache)) == []
    made = prepare(Packages(pip_packages=["slowdemo"]), cache)
    assert output(made, "import slowdemo; print(1)") == "1"
    assert list((cache / "leases").iterdir()) == []
    assert [path.name for path in Path(made.prefix).parent.iterdir() if path.is_dir()] == [
        Path(made.prefix).name
    ]


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    return make_channel(tmp_path / "channel")


@pytest.mark.skipif(solver() is None, reason="needs py-rattler")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the channel is made for linux-64")
def test_conda_packages(channel: Path, index: Path, cache: Path) -> None:
    del index
    told = Told()
    option = Packages(conda_packages=["condademo>=3"], channels=[channel.as_uri()], pip_packages=["demo"])
    assert list(option.check(request(), Facts())) == []
    made = prepare(option, cache, told)
    assert output(
        made, "import condademo, demo, sys; print(condademo.version, demo.version, sys.prefix)"
    ) == (f"3.1 2.0 {made.prefix}")
    assert "condademo==3.1" in made.packages or (Path(made.prefix) / SITE / "condademo.py").is_file()
    assert made.env["CONDA_PREFIX"] == made.prefix
    assert any("from conda" in step for step in told.steps)
    again = Told()
    assert prepare(option, cache, again) == made
    assert again.steps == []


@pytest.mark.skipif(solver() is None, reason="needs py-rattler")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the channel is made for linux-64")
def test_an_environment_file(channel: Path, index: Path, cache: Path, tmp_path: Path) -> None:
    del index
    path = tmp_path / "environment.yaml"
    path.write_text(f"channels: [{channel}]\ndependencies: [condademo, {{pip: [demo<2, ./pkgx]}}]\n")
    put_package(tmp_path / "pkgx", "value = 'mine'\n")
    made = prepare(Packages(environment_file=str(path)), cache)
    show = "import condademo, demo, pkgx; print(condademo.version, demo.version, pkgx.value)"
    assert output(made, show) == "3.1 1.0 mine"
    missing = Packages(conda_packages=["nonesuch"], channels=[str(channel)])
    with pytest.raises(BuildError, match="nonesuch"):
        prepare(missing, cache)


def test_a_cache_that_cannot_be_written(index: Path, tmp_path: Path) -> None:
    del index
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="LAUNCHER_CACHE"):
        prepare(Packages(pip_packages=["demo"]), tmp_path / "file" / "cache")


def test_another_python(index: Path, cache: Path) -> None:
    del index
    other = next((name for name in ("3.8", "3.9", "3.10", "3.12") if not list(spec_problems(name))), None)
    if other is None:
        pytest.skip("no other Python on this machine")
    made = prepare(Packages(python=other, pip_packages=["demo"]), cache)
    assert output(made, "import demo, sys; print('%d.%d' % sys.version_info[:2])") == other


def spec_problems(python: str) -> list[str]:
    option = Packages(python=python)
    return [str(problem) for problem in option.check(request(), Facts())]


def test_the_index_that_this_machine_uses(cache: Path) -> None:
    made = prepare(Packages(pip_packages=["six==1.16.0"]), cache)
    assert made.packages == ("six==1.16.0",)
    assert shutil.which("six") is None
    assert made.env == {"VIRTUAL_ENV": made.prefix}


SETUP = """
from setuptools import setup
print("[ 50%] Building CXX object a.o")
assert __import__("os").environ["HOROVOD_WITH_PYTORCH"] == "1"
setup(name="horovod", version="99.0", packages=["horovod", "horovod.torch"])
"""


def test_horovod_is_built_once_and_kept_as_a_wheel(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a Horovod of our own: the real one takes minutes (see the tests that train with it)."""
    links = tmp_path / "links"
    links.mkdir()
    with tarfile.open(links / "horovod-99.0.tar.gz", "w:gz") as archive:
        add_file(archive, "horovod-99.0/PKG-INFO", b"Metadata-Version: 2.1\nName: horovod\nVersion: 99.0\n")
        add_file(archive, "horovod-99.0/setup.py", SETUP.encode())
        add_file(archive, "horovod-99.0/horovod/__init__.py", b"")
        add_file(archive, "horovod-99.0/horovod/torch/__init__.py", b"")
    present = os.environ.get("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{present} {links}".strip())
    release = Release(
        framework="pytorch",
        version="0",
        pythons=((3, 8), (3, 20)),
        packages=(),
        modules=("torch",),
        horovod="99.0",
        horovod_packages=("packaging",),
    )
    wish = HorovodRequest.of(release, Facts(), gpu=False)
    told = Told()
    recipe = Recipe(
        interpreter=choose_interpreter(None, None, cache), horovod=wish, modules=("horovod.torch",)
    )
    made = build_once(recipe, recipe.key(), cache, told)
    assert output(made, "import horovod.torch; print(1)") == "1"
    assert any(step.startswith("Compiling Horovod 99.0") for step in told.steps)
    (wheel,) = cache.glob("wheels/*/horovod-99.0*.whl")
    assert [path.name for path in wheel.parent.iterdir() if path.is_dir()] == []
    again = Told()
    other = replace(recipe, requirements=("packaging",))
    build_once(other, other.key(), cache, again)
    assert not any("Compiling" in step for step in again.steps)

    wheel.unlink()
    broken = replace(release, version="1", horovod="98.0")
    failing = replace(recipe, horovod=replace(wish, release=broken))
    with pytest.raises(BuildError, match="Downloading Horovod failed"):
        build_once(failing, failing.key(), cache, Told())
    assert not list(cache.glob("wheels/*/*/"))
