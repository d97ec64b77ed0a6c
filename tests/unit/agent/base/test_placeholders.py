"""Placeholders are filled; what a user wrote survives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from launcher.agent.base.placeholders import expand

VALUES = {"host.1": "10.0.0.2", "port.worker.0": "20001", "python": "/usr/bin/python", "data.my-set": "/d"}


def test_known_placeholders_are_filled_wherever_they_stand() -> None:
    text = "@{host.1}:@{port.worker.0}, twice @{host.1} and @{data.my-set}/x"
    assert expand(text, VALUES) == "10.0.0.2:20001, twice 10.0.0.2 and /d/x"


def test_unknown_ones_stay_as_they_were_written() -> None:
    for text in (
        "@{host.9}",
        "@{}",
        "@{host.1",
        "{host.1}",
        "@@{nothing}",
        "${python}",
        "@{Python}",
        "@ {python}",
    ):
        assert expand(text, VALUES) == text


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    assert expand("@{python}", {"python": "@{host.1}", "host.1": "x"}) == "@{host.1}"


@given(st.text())
def test_text_without_a_known_placeholder_survives(text: str) -> None:
    if not any(f"@{{{name}}}" in text for name in VALUES):
        assert expand(text, VALUES) == text


@given(st.text(alphabet="@{}.hostpyn1$\\ \n"), st.text(alphabet="@{}.hostpyn1$\\ \n"))
def test_text_around_a_placeholder_survives(before: str, after: str) -> None:
    filled = expand(f"{before}@{{python}}{after}", VALUES)
    assert filled == expand(before, VALUES) + "/usr/bin/python" + expand(after, VALUES)
