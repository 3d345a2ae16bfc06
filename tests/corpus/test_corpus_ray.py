"""A corpus on a local Ray of two workers, with one killed midway: the rows of one machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from test_corpus import TEXTS

from conftest import tiny
from saywhy import corpus
from saywhy.core.errors import OptionError

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, about how it starts and stops processes


def actors() -> list[int]:
    """Process ids of the actors: Ray renames a process to what it does."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes()
        except OSError:
            continue
        if said.startswith(b"ray::") and b"MapWorker" in said:
            found.append(int(path.parent.name))
    return found


def test_ray_makes_the_same_rows_though_a_worker_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(corpus.__file__).parents[2]), str(Path(__file__).parents[1])])
    )
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    model, tokenizer = tiny("bert")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"text": f"{TEXTS[i % 11]} {i}" if i % 7 else "", "n": i} for i in range(300)]
    settings = {"method": "occlusion", "shard_rows": 10, "progress": False}
    folder = tmp_path / "model"
    whole = corpus.run(str(folder), rows, tmp_path / "one", cache=0, **settings).to_arrow()
    killed = []

    def kill():
        while not killed and not (tmp_path / "many" / "shard-000003.parquet").exists():
            time.sleep(0.01)
        for pid in actors()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    watch = threading.Thread(target=kill, daemon=True)
    watch.start()
    found = corpus.run(str(folder), rows, tmp_path / "many", engine="ray", workers=2, **settings)
    watch.join(5)
    assert killed
    assert found.manifest["done"]["errors"] == 43
    assert found.to_arrow().equals(whole)
    assert not (tmp_path / "many" / ".todo").exists()
    found.shards[2].unlink()
    assert corpus.run(str(folder), rows, tmp_path / "many", cache=0, **settings).to_arrow().equals(whole)


def test_an_explainer_is_not_sent_to_actors(tmp_path):
    import saywhy

    with pytest.raises(OptionError, match="makes its own explainer"):
        corpus.run(saywhy.Explainer(*tiny("bert")), ["a"], tmp_path / "o", engine="ray")
