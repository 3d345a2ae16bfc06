"""Files that once came out raw, kept as they were: each is refused in words, or its good rows are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks.attack import only_ours
from benchmarks.attack.files import compared, counting, model_folder, run

import saywhy
from saywhy import corpus
from saywhy.core.errors import FileError, ModelError, SaywhyError

KEPT = Path(__file__).with_name("kept")


def kept(folder):
    return [pytest.param(path, id=path.name) for path in sorted((KEPT / folder).iterdir())]


@pytest.mark.parametrize("path", kept("explanations"))
def test_explanations(path):
    assert isinstance(only_ours(lambda: saywhy.load(path)), FileError)


@pytest.mark.parametrize("path", kept("resume"))
def test_resume_files(path, tmp_path):
    found = only_ours(lambda: compared(shutil.copy(path, tmp_path / "part")))
    assert isinstance(found, FileError) or found.rows > 0


@pytest.mark.parametrize("path", kept("manifests"))
def test_manifests(path, tmp_path):
    folder = shutil.copytree(run().folder, tmp_path / "corpus")
    shutil.copy(path, folder / "_manifest.json")
    assert isinstance(only_ours(lambda: corpus.report(folder)), FileError)


@pytest.mark.parametrize("path", kept("configurations"))
def test_model_folders(path, tmp_path):
    folder = shutil.copytree(model_folder(), tmp_path / "model")
    shutil.copy(path, folder / "config.json")
    assert isinstance(only_ours(lambda: saywhy.Explainer(str(folder))), ModelError)


@pytest.mark.parametrize("path", kept("tables"))
def test_tables(path, tmp_path):
    done = only_ours(lambda: corpus.run(counting(), path, tmp_path / "done", text="text", trust="none"))
    if isinstance(done, SaywhyError):
        assert path.suffix == ".parquet"  # one damaged file alone holds nothing to go on with
        return
    rows = done.to_arrow().to_pylist()
    assert any(row["error"] is None and row["text"] in ("good", "bad") for row in rows)
    assert any(row["error"] for row in rows) or path.name == "wide.csv"  # whose long cell is one word like another
