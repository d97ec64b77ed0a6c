from typing import Any

from launcher.config.config_diff import differences

FROZEN = (
    "# compute=local data=none\nname: a\nargs:\n  x: 1\n  y: {}\nenv: {}\ncompute:\n  max_parallel: null\n"
)


def test_equal_configurations_do_not_differ() -> None:
    assert differences(FROZEN, FROZEN, {}) == []
    assert differences("", "", {}) == []


def test_differences_are_told_by_key() -> None:
    given = (
        "# compute=slurm data=none\nname: a\nargs:\n  x: '1'\n  z: [1, 2]\nenv:\n  A: b\n"
        "compute:\n  max_parallel: 2\n"
    )
    assert differences(FROZEN, given, {}) == [
        ("args.x", "1", "'1'"),
        ("args.y", "{}", "no such key"),
        ("env", "{}", "no such key"),
        ("compute.max_parallel", "None", "2"),
        ("compute", "'local'", "'slurm'"),
        ("args.z", "no such key", "[1, 2]"),
        ("env.A", "no such key", "'b'"),
    ]


def test_the_spelling_of_a_number_is_a_difference() -> None:
    found = differences("# a=b\nargs:\n  x: 1.10\n  y: 0.5\n", "# a=b\nargs:\n  x: 1.1\n  y: 0.5\n", {})
    assert found == [("args.x", "1.10", "1.1")]


def test_an_option_that_the_frozen_version_did_not_have_counts_as_its_default() -> None:
    given = FROZEN + "  interface: null\nlinks: []\nstdin: input.txt\n"
    defaults: dict[str, Any] = {
        "compute": {"interface": None, "pull": "missing"},
        "links": [],
        "stdin": None,
        "args": {},
    }
    assert differences(FROZEN, given, defaults) == [("stdin", "None", "'input.txt'")]
