"""Files that a run left, and links that a script may have put among them."""

from pathlib import Path

import pytest

from launcher import cli
from launcher.errors import StoreError
from launcher.paths import RunFolder, StoreFolder
from launcher.store import records
from launcher.store.files import download, list_files


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("not of this run")
    folder = StoreFolder(tmp_path / "store").run("mnist", 1)
    (folder.outputs / "model").mkdir(parents=True)
    (folder.outputs / "model" / "weights-3").write_text("weights")
    (folder.outputs / "model" / "newest").symlink_to("weights-3")
    records.write(folder.submit, {"schema": 1, "created": 1.0, "phases": [], "owner": records.owner()})
    records.write(folder.spec, {"tags": {}})
    return folder


@pytest.mark.parametrize("target", ["{tmp}/secret", "../../../../../secret"])
def test_a_link_that_leaves_the_run_is_listed_as_a_link_and_not_copied(
    run: RunFolder, tmp_path: Path, target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    target = target.format(tmp=tmp_path)
    (run.outputs / "loot").symlink_to(target)
    found = {file.name: (file.link, file.size) for file in list_files(run, "outputs")}
    assert found["outputs/loot"] == (target, 0)
    assert found["outputs/model/newest"] == (None, 7)
    with pytest.raises(StoreError, match=r"outputs/loot -> .*secret: leads out of the run"):
        download(run, "outputs/loot", tmp_path / "copy")
    assert cli.main(["runs", "download", "mnist/1", "outputs", "-o", "copy", "--store", "store"]) == 0
    copied = {str(path.relative_to("copy")) for path in Path("copy").rglob("*") if not path.is_dir()}
    assert copied == {"outputs/model/weights-3", "outputs/model/newest"}
    assert f"outputs/loot -> {target}: leads out of the run" in capfd.readouterr().err
    assert cli.main(["runs", "files", "mnist/1", "--store", "store"]) == 0
    assert f"outputs/loot -> {target}" in capfd.readouterr().out


@pytest.mark.parametrize("name", ["outputs", "outputs/folder", "logs"])
def test_a_folder_that_leads_out_of_the_run_is_not_entered(run: RunFolder, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("not of this run")
    link = run.root / name
    if link.exists():
        link.rename(tmp_path / "before")
    link.symlink_to(tmp_path / "elsewhere")
    links = [file.name for file in list_files(run) if file.link is not None]
    assert links == [name]
    copies = download(run, "", tmp_path / "copy")
    assert "secret" not in {path.name for path in copies}
