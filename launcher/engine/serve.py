"""`python -m launcher.engine.serve TOKEN`: speaks to the engine for a supervisor, whose agents have no SDK.

Lines of JSON. A request has `id` and `do`; its answer has that `id` and `ok`, or `error` and whether the
engine was `lost` on the way:

    {"do": "up", …}                           → {"ok": {"pid", "address", "subnet", "interface"}}; see `boxes`
    {"do": "exec", "box", "argv", "env"}      → {"begun": true}, and when it has ended {"ended": exit code}
    {"do": "down", "name", "network"}         → {"ok": {}}
    {"do": "ping"}                            → {"ok": {}}; an error where the engine takes no connections

and of the launcher, before there is a supervisor:

    {"do": "about"}                           → {"ok": fields of `launcher.facts.Engine`}
    {"do": "find", "image"}                   → {"ok": fields of `images.Image`, or null}

What happens by itself is told as {"event": "oom" | "died", "box", "code"} and {"event": "lost" | "back"}.
With the end of standard input, all that was made under this token is removed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from docker.errors import APIError

from launcher.agent.base.node_leftovers import sweep_attempt_folders
from launcher.engine import boxes, images, made
from launcher.engine.client import connect, read_engine, words
from launcher.errors import EngineError
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S = 30.0
"""For an engine to come back, so that what was made there can be removed."""

_AGAIN_S = 0.3
_THREADS = 16


class Server:
    """Serves one supervisor."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._client = connect()
        self._writing = threading.Lock()
        self._asked: dict[str, int] = {}  # id of an exec → id of the request
        self._names: set[str] = set()
        self._lost = False
        self._since = int(time.time())

    def serve(self) -> None:
        """Answer until nobody asks any more, then remove what is left."""
        threading.Thread(target=self._hear, daemon=True).start()
        threading.Thread(target=self._sweep, daemon=True).start()
        begun: dict[str, Future[None]] = {}  # by box: it is not removed while it is still being started
        with ThreadPoolExecutor(_THREADS) as pool:
            for line in sys.stdin:
                request = json.loads(line)
                if request["do"] == "up":
                    begun[request["name"]] = pool.submit(self._answer, request)
                else:
                    pool.submit(self._answer, request, begun.pop(request.get("name"), None))
        clean(self._token)

    def _say(self, **message: Any) -> None:
        with self._writing:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def _answer(self, request: Mapping[str, Any], after: Future[None] | None = None) -> None:
        if after is not None:
            after.result()
        try:
            self._say(id=request["id"], **getattr(self, "_do_" + request["do"])(request))
        except BrokenPipeError:
            return
        except EngineError as error:
            self._say(id=request["id"], error=str(error))
        except Exception as error:  # noqa: BLE001  # requests, urllib3 and the SDK each have their own
            refused = hasattr(error, "explanation")  # by the engine; else it was not heard of
            self._say(id=request["id"], error=words(error), lost=not refused)

    def _do_about(self, request: Mapping[str, Any]) -> dict[str, Any]:
        del request
        return {"ok": plain(read_engine(self._client))}

    def _do_find(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": plain(images.find(self._client, request["image"]))}

    def _do_up(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._names.add(request["name"])
        return {"ok": boxes.start(self._client, request)}

    def _do_ping(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Connect anew: an engine that stops takes no more connections, and goes on with those it has."""
        del request
        connect(timeout_s=5).close()
        return {"ok": {}}

    def _do_exec(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run = self._client.exec_create(
            request["box"], request["argv"], environment=request["env"], stdout=False, stderr=False
        )
        self._asked[run["Id"]] = request["id"]
        try:
            self._client.exec_start(run["Id"], detach=True)
        except BaseException as error:
            self._asked.pop(run["Id"], None)
            if isinstance(error, APIError):
                raise EngineError(f"the engine could not start it: {words(error)}") from error
            raise
        return {"begun": True}

    def _do_down(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._names.discard(request["name"])
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                boxes.remove(self._client, request["name"], request["network"])
            except EngineError:
                if not self._lost or time.monotonic() > until:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return {"ok": {}}

    def _sweep(self) -> None:
        """Remove what killed supervisors left."""
        with suppress(EngineError):  # whoever asks for something is told
            made.sweep(connect(), made.abandoned)
        sweep_attempt_folders()

    def _hear(self) -> None:
        """Pass on what the engine tells, for as long as this process lives."""
        while True:
            try:
                client = connect()
                filters = {"type": "container", "label": f"{made.TOKEN}={self._token}"}
                stream = client.events(filters=filters, since=self._since, decode=True)
                if self._lost:
                    self._back(client)
                for event in stream:
                    self._event(event)
                problem = "it closed the connection"
            except Exception as error:  # noqa: BLE001  # see `_answer`
                problem = words(error)
            if not self._lost:
                self._lost = True
                self._say(event="lost", message=problem)
            time.sleep(_AGAIN_S)

    def _event(self, event: Mapping[str, Any]) -> None:
        self._since = int(event.get("time") or self._since)  # those of one second may come twice: no matter
        what = str(event.get("Action"))
        about: Mapping[str, str] = event["Actor"]["Attributes"]
        if what == "exec_die":
            asked = self._asked.pop(about.get("execID", ""), None)
            if asked is not None:
                self._say(id=asked, ended=int(about.get("exitCode", -1)))
        elif what == "oom":
            self._say(event="oom", box=about["name"])
        elif what == "die":
            self._say(event="died", box=about["name"], code=int(about.get("exitCode", -1)))

    def _back(self, client: Any) -> None:
        """Tell that the engine is back, and which boxes it has no longer."""
        running = {box["Names"][0].lstrip("/") for box in client.containers()}
        self._lost = False
        self._say(event="back")
        for name in sorted(self._names - running):
            self._say(event="died", box=name, code=-1)


def clean(token: str) -> None:
    """Remove all that was made under a token, waiting for the engine where it is gone."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            made.sweep(connect(timeout_s=10), lambda labels: labels.get(made.TOKEN) == token)
        except EngineError:
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN_S)
        else:
            break
    sweep_attempt_folders()  # of a supervisor whose guard was killed as well


def main(words_: list[str]) -> int:
    """Serve, or with `clean TOKEN` only clean."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # it ends with the supervisor, after it
    try:
        if words_[0] == "clean":
            clean(words_[1])
        else:
            Server(words_[0]).serve()
    except EngineError as error:
        print(json.dumps({"event": "lost", "message": str(error)}), flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
