"""Tools that run in containers: one that becomes an image, and one that compiles for the cache."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.engine.workbench import PLACE, workbench
from launcher.environment.build import uv
from launcher.environment.build.horovod_build import BuildHost
from launcher.environment.build.tools import FULL_DISK, HINTS, Tools, silent
from launcher.environment.recipe.indexes import lent_variables, local_places, pip_variables
from launcher.environment.recipe.interpreters import interpreter_of
from launcher.errors import BuildError, EngineError
from launcher.programs import PYTHON_QUERY

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from launcher.engine.look import Inside
    from launcher.engine.workbench import Workbench
    from launcher.environment.build.tools import Listener
    from launcher.environment.recipe.key import Recipe

_FULL_ENGINE = (
    "The disk of the engine, or of uv's cache, is full: python -m launcher env prune removes "
    "what is not used, docker system df shows what the engine holds"
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerTools(Tools):
    """Tools that run in a container."""

    bench: Workbench
    user: str = "0:0"
    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    places: tuple[tuple[str, str], ...] = ()
    """Paths of this machine, each with where it is in the container; the longest first."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    hints: Mapping[str, str] = field(default_factory=lambda: {**HINTS, FULL_DISK: _FULL_ENGINE})

    def which(self, name: str) -> str | None:
        """See `Tools.which`."""
        return self.programs.get(name)

    def there(self, text: str) -> str:
        """See `Tools.there`."""
        for here, place in self.places:
            text = text.replace(here, place)
        return text

    def _call(self, argv: Sequence[str], cwd: Path | None, take: Listener) -> int:
        env = {name: self.there(value) for name, value in {**self.variables, **self.env}.items()}
        words = [self.there(word) for word in argv]
        try:
            return self.bench.run(words, env, self.user, self.there(str(cwd)) if cwd else None, take)
        except EngineError as error:
            raise BuildError(f"The container to build in was lost: {error}") from error


def python_of(tools: ContainerTools) -> Mapping[str, str]:
    """Return what the Python of a container tells of itself."""
    lines = tools.run(["python3", "-c", PYTHON_QUERY], "Asking for the Python of the image")
    found: Mapping[str, str] = json.loads(lines[-1])
    return found


def install_paths(recipe: Recipe, cache: Path) -> list[Path]:
    """Return the files and folders of this machine that an installation reads."""
    wheels = cache / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    channels = " ".join(recipe.conda.channels) if recipe.conda else ""
    archives = [path for path in recipe.local_packages() if path.is_file()]
    return [wheels, *archives, *recipe.listed().folders, *local_places({"channels": channels})]


@contextmanager
def install_container(  # noqa: PLR0913, PLR0917  # what it is of, and what it is lent
    client: Any, image: str, inside: Inside, work: Path, lent: Iterable[Path], log: Path
) -> Generator[ContainerTools]:
    """Give tools that install into a container as root; all that is lent to it leaves no trace there.

    Args:
        client: of the engine.
        image: its id.
        inside: what it has.
        work: a folder for files of the tools.
        lent: further files and folders that they read.
        log: of what they say.
    """
    cache = f"{PLACE}/cache"
    variables = {**lent_variables(os.environ), "UV_LINK_MODE": "copy", "UV_CACHE_DIR": cache}
    here = dict.fromkeys([Path(uv.binary()), work, *lent, *local_places(variables)])
    places = [(str(path), f"{PLACE}/{number}/{path.name}") for number, path in enumerate(here)]
    mounts = [(source, target, source != str(work)) for source, target in places]
    with workbench(client, image, [*mounts, (_uv_cache(), cache, False)], work) as bench:
        longest = sorted(places, key=lambda pair: -len(pair[0]))
        yield ContainerTools(
            log=log, bench=bench, programs=inside.programs, places=tuple(longest), variables=variables
        )


@contextmanager
def compile_container(client: Any, image: str, inside: Inside, wheels: Path) -> Generator[BuildHost]:
    """Give a container in which the user of this process compiles into a folder of the cache."""
    assert inside.python is not None, "looked at before"  # noqa: S101
    own = {"UV_LINK_MODE": "copy", "UV_CACHE_DIR": f"{PLACE}/uv", "HOME": f"{PLACE}/home"}
    variables = {**lent_variables(os.environ), **pip_variables(os.environ), **own}
    lent = dict.fromkeys([Path(uv.binary()), *local_places(variables)])
    mounts = [*((str(path), str(path), True) for path in lent), (str(wheels), str(wheels), False)]
    with workbench(client, image, mounts, wheels) as bench:
        bench.run(["mkdir", "-p", "-m", "777", own["UV_CACHE_DIR"], own["HOME"]], {}, "0:0", "/", silent)
        tools = ContainerTools(
            log=wheels / "build.log", bench=bench, user=f"{os.getuid()}:{os.getgid()}",
            programs=inside.programs, variables=variables,
        )  # fmt: skip
        yield BuildHost(interpreter=interpreter_of(inside.python), tools=tools, path=_PATH)


def _uv_cache() -> str:
    """Return the cache that uv has here; for others than root, whose files root would own, a volume."""
    if os.getuid():
        return f"launcher-uv-{os.getuid()}"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(os.environ.get("UV_CACHE_DIR") or f"{base}/uv").expanduser().absolute()
    path.mkdir(parents=True, exist_ok=True)
    return str(path)
