"""What a build is lent stays with the builder: history, configuration and layers show nothing."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from tests.integration.docker.test_images import images, lab, packages
from tests.local_package import put_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.docker.lab import Boxed

__all__ = ["lab"]

CANARY = "canary-4711"
"""In every value that is lent."""

LENT = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), f"http://me:{CANARY}@127.0.0.1:9"),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), f"http://me:{CANARY}@127.0.0.1:9"),
    "NO_PROXY": f"*,{CANARY}",
    "no_proxy": f"*,{CANARY}",
    "UV_INDEX_MINE_USERNAME": CANARY,
    "UV_INDEX_MINE_PASSWORD": CANARY,
    "UV_EXTRA_INDEX_URL": f"http://me:{CANARY}@127.0.0.1:9/simple",
    "UV_PUBLISH_TOKEN": CANARY,
    "PIP_EXTRA_INDEX_URL": f"http://me:{CANARY}@127.0.0.1:9/simple",
    "GITHUB_TOKEN": CANARY,
}

STEP = 'RUN test "$HTTP_PROXY" = "$https_proxy" && test -n "$HTTP_PROXY" && echo yes >/etc/proxied'


def layers(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a saved image: its records, and what its layers hold."""
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        for member in whole:
            content = _content(whole, member)
            if not member.name.endswith(("layer.tar", ".tar")) or not content:
                yield member.name, content
                continue
            with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                for each in layer:
                    yield f"{member.name}: {each.name}", _content(layer, each)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isfile() else None
    return file.read() if file else b""


def test_nothing_of_the_builder_stays_in_an_image(lab: Boxed, tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    proxy = f"http://me:{CANARY}@127.0.0.1:9"
    proxies = {"httpProxy": proxy, "httpsProxy": proxy, "ftpProxy": proxy, "noProxy": f"*,{CANARY}"}
    (tmp_path / "client" / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    lab.env |= LENT | {"DOCKER_CONFIG": str(tmp_path / "client")}
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {CANARY}\n")
    (tmp_path / "pip.conf").write_text(f"[global]\nextra-index-url = {LENT['PIP_EXTRA_INDEX_URL']}\n")
    lab.env |= {"NETRC": str(tmp_path / ".netrc"), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    folder = put_package(tmp_path / "pkgx", "value = 'x'\n")
    lab.script("import pkgx; print(pkgx.value, open('/etc/proxied').read())")
    lines = f"environment.dockerfile_lines={json.dumps([STEP])}"
    done = lab.launch(*packages(lab, f"environment.pip_packages=[{folder}]", lines))
    assert done.returncode == 0, done.stderr
    assert lab.log().split() == ["x", "yes"]
    api: Any = lab.engine.client().api
    for name in (*images(lab), *images(lab, "launcher/layers")):
        assert CANARY not in json.dumps(api.inspect_image(name)), name
        assert CANARY not in json.dumps(api.history(name)), name
        found = [path for path, data in layers(b"".join(api.get_image(name))) if CANARY.encode() in data]
        assert found == [], name
    untagged = api.images(all=True, filters={"label": "launcher.build"})
    assert len(untagged) >= 4  # the steps below them
    for image in untagged:
        assert CANARY not in json.dumps(api.inspect_image(image["Id"]))
        assert CANARY not in json.dumps(api.history(image["Id"]))


def test_a_proxy_as_an_argument_of_the_image_is_refused(lab: Boxed) -> None:
    """The engine would keep its value in the history of every step that follows."""
    done = lab.launch(*packages(lab, "environment.dockerfile_lines=['ARG http_proxy','ARG NAME']"))
    assert done.returncode == 2
    assert "environment.dockerfile_lines[0]: got 'ARG http_proxy'" in done.stderr
    assert "dockerfile_lines[1]" not in done.stderr
