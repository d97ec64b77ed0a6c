import os
import subprocess
from pathlib import Path

import pytest

from launcher.store.git import Git, parse_status, read_git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    root = tmp_path / "repository"
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    (root / "src").mkdir()
    (root / "src" / "a.py").write_text("1")
    (root / ".gitignore").write_text("*.log\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def git(place: Path, *words: str) -> str:
    line = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *words]
    return subprocess.run(line, cwd=place, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_branch_and_clean(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert read_git(repository / "src") == Git(commit=head, branch="main", dirty=False)
    (repository / "src" / "b.log").write_text("")
    (repository / "elsewhere").write_text("")
    assert read_git(repository / "src") == Git(commit=head, branch="main", dirty=False)


@pytest.mark.parametrize("change", ["a.py", "new.py"])
def test_changes_and_new_files_of_the_source_make_it_dirty(repository: Path, change: str) -> None:
    (repository / "src" / change).write_text("2")
    found = read_git(repository / "src")
    assert found is not None
    assert found.dirty is True


def test_a_detached_head_has_no_branch_and_a_new_repository_no_commit(
    repository: Path, tmp_path: Path
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", head)
    assert read_git(repository) == Git(commit=head, branch=None, dirty=False)
    git(tmp_path, "init", "-q", "-b", "trunk", str(tmp_path / "new"))
    assert read_git(tmp_path / "new") == Git(commit=None, branch="trunk", dirty=False)


def test_a_worktree_is_its_own(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    found = read_git(tmp_path / "side" / "src")
    assert found is not None
    assert found.branch == "side"


def test_outside_a_repository_there_is_none(tmp_path: Path) -> None:
    assert read_git(tmp_path) is None


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("tool", ["absent", "hangs", "fails"])
def test_without_an_answer_commit_and_branch_are_read_from_files(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, pack: bool
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    if pack:
        git(repository, "pack-refs", "--all")
    tools = tmp_path / "bin"
    tools.mkdir()
    if tool != "absent":
        (tools / "git").write_text(
            "#!/bin/sh\n" + ("exec /bin/sleep 60\n" if tool == "hangs" else "exit 128\n")
        )
        (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    assert read_git(repository, timeout_s=0.2) == Git(commit=head, branch="main", dirty=None)
    assert read_git(tmp_path / "side", timeout_s=0.2) == Git(commit=head, branch="side", dirty=None)


def test_the_variables_of_a_git_hook_do_not_mislead(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    found = read_git(repository)
    assert found is not None
    assert found.dirty is False


def test_status_of_a_new_repository() -> None:
    text = "# branch.oid (initial)\n# branch.head (detached)\n? a\n"
    assert parse_status(text) == Git(commit=None, branch=None, dirty=True)


def _mark(repository: Path) -> tuple[Path, str]:
    """Return a file that a program of the repository would write, and the command that writes it."""
    mark = repository.parent / "ran"
    program = repository.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return mark, str(program)


FILTERS: dict[str, dict[str, str]] = {
    "clean": {"filter.evil.clean": "{program}"},
    "process": {"filter.evil.process": "{program}", "filter.evil.required": "true"},
    "fsmonitor": {"core.fsmonitor": "{program}"},
    "hooks": {"core.hooksPath": "{folder}"},
    "ssh": {"core.sshCommand": "{program}", "remote.origin.promisor": "true"},
}


@pytest.mark.parametrize("name", FILTERS)
def test_no_program_of_the_repository_runs(repository: Path, name: str) -> None:
    mark, program = _mark(repository)
    head = git(repository, "rev-parse", "HEAD")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    for key, value in FILTERS[name].items():
        git(repository, "config", key, value.format(program=program, folder=repository.parent))
    (repository / "src" / "a.py").write_text("2")
    found = read_git(repository / "src")
    assert not mark.exists()
    assert found is not None
    assert found.commit == head
    assert found.dirty in {True, None}


def test_filters_in_included_files_and_worktree_configurations_do_not_run(repository: Path) -> None:
    mark, program = _mark(repository)
    extra = repository / ".git" / "extra"
    git(repository, "config", "-f", str(extra), "filter.evil.clean", program)
    git(repository, "config", "include.path", "extra")
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / "src" / "a.py").write_text("2")
    assert read_git(repository) == Git(commit=git(repository, "rev-parse", "HEAD"), branch="main", dirty=None)
    git(repository, "config", "--unset", "include.path")
    git(repository, "config", "extensions.worktreeConfig", "true")
    git(repository, "config", "--worktree", "filter.evil.clean", program)
    assert read_git(repository) == Git(commit=git(repository, "rev-parse", "HEAD"), branch="main", dirty=None)
    assert not mark.exists()


def test_filters_of_a_submodule_do_not_run(repository: Path, tmp_path: Path) -> None:
    mark, program = _mark(repository)
    inner = tmp_path / "inner"
    git(tmp_path, "init", "-q", "-b", "main", str(inner))
    (inner / "b.py").write_text("1")
    (inner / ".gitattributes").write_text("* filter=evil\n")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "inner")
    git(repository, "commit", "-qm", "second")
    git(repository / "inner", "config", "filter.evil.clean", program)
    (repository / "inner" / "b.py").write_text("2")
    found = read_git(repository)
    assert not mark.exists()
    assert found is not None
    assert found.commit == git(repository, "rev-parse", "HEAD")
