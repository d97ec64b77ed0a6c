"""Credentials in addresses: which there are, and that every other text stays as it is."""

from __future__ import annotations

import pytest

from launcher.credentials import hide, name_of
from launcher.errors import BuildError, ConfigError, Problem

SHOWN = {
    "https://user:pw@host/x": "https://***@host/x",
    "x @ http://user:p@w@host:81/x.whl#sha256=1 ; a>1": "x @ http://***@host:81/x.whl#sha256=1 ; a>1",
    "git+https://token@host/x.git@v1": "git+https://***@host/x.git@v1",
    "git+ssh://git:pw@host/x": "git+ssh://***@host/x",
    "postgres://me:pw@db/runs and http://a:b@c": "postgres://***@db/runs and http://***@c",
    "--index-url=http://u:pw@[::1]:80/simple": "--index-url=http://***@[::1]:80/simple",
    "http://u:pw%40%2F@host": "http://***@host",
    "HTTP://U:PW@HOST": "HTTP://***@HOST",
    '["http://u:pw@a","http://u:pw@b"]': '["http://***@a","http://***@b"]',
    "http://a,http://u:pw@b": "http://a,http://***@b",
    "https://b/x?X-Amz-Date=1&X-Amz-Signature=ab&versionId=2": (
        "https://b/x?X-Amz-Date=1&X-Amz-Signature=***&versionId=2"
    ),
    "https://b/x?sv=1&sig=a%2B'": "https://b/x?sv=1&sig=***'",
    "https://b/x?token=ab#part": "https://b/x?token=***#part",
    "https://b/x?X-Goog-Signature=ab&access_token=cd": "https://b/x?X-Goog-Signature=***&access_token=***",
    "https://u:pw@b/x?api_key=ab": "https://***@b/x?api_key=***",
    "(https://b/x?sig=a:b.c): no": "(https://b/x?sig=***): no",
    "http://@{secret.LAUNCHER_CREDENTIAL_H}@h": "http://***@h",
    "http://${secret:LAUNCHER_CREDENTIAL_H}@h": "http://***@h",
}

OTHERS = (
    "git+ssh://git@host/x",
    "sftp://me@host/x",
    "abfs://container@account.dfs.core.windows.net/x",
    "docker://ubuntu@sha256:0123",
    "docker://ubuntu:24.04@sha256:0123",
    "https://host/a@b:c",
    "https://host:80/x@1",
    "git@host:x",
    "http://u:${oc.env:PW}@host/x?token=${oc.env:T}",
    "http://u:@{secret.PW}@host",
    "http://@{host.1}:8080/x",
    "https://host/x?design=1&monkey=2&tokens=3",
    "a?token=b",
    "u:pw@host",
    "",
)


@pytest.mark.parametrize("text", SHOWN)
def test_credentials_are_hidden(text: str) -> None:
    assert hide(text) == SHOWN[text]
    assert hide(SHOWN[text]) == SHOWN[text]


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_stay(text: str) -> None:
    assert hide(text) == text


def test_messages_have_none() -> None:
    problem = Problem("a", ["http://u:pw@h"], "not http://u:pw@h", "See http://u:pw@h")
    for error in (ConfigError([problem, "http://u:pw@h"]), BuildError("http://u:pw@h")):
        assert "pw" not in str(error)
        assert "http://***@h" in str(error)


def test_names() -> None:
    assert name_of("pkgs.example.org") == "LAUNCHER_CREDENTIAL_PKGS_EXAMPLE_ORG"
    assert name_of("b", "X-Amz-Signature") == "LAUNCHER_CREDENTIAL_B_X_AMZ_SIGNATURE"
