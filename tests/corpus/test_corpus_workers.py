"""A corpus by several processes of this machine, one of them killed midway: the rows of one process."""

from __future__ import annotations

import datetime
import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from test_corpus import TEXTS

import saywhy
from conftest import tiny
from saywhy import corpus
from saywhy.core.errors import InputError, ModelError, OptionError
from saywhy.corpus.processes import TRIES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    for each in tiny("bert"):
        each.save_pretrained(made)
    return made


def rows(count=120):
    return [{"text": f"{TEXTS[i % 11]} {i}" if i % 7 else "", "n": i} for i in range(count)]


def go(model, source, out, **more):
    return corpus.run(model, source, out, **{"method": "occlusion", "shard_rows": 10, "progress": False, **more})


def workers():
    """Process ids of the workers that this process began."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and b"saywhy.corpus.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_processes_make_the_same_rows_though_one_is_killed(folder, tmp_path):
    whole = go(str(folder), rows(), tmp_path / "one", cache=0).to_arrow()
    killed, ended = [], threading.Event()

    def kill():
        while not killed and not ended.wait(0.001):
            for pid in workers()[:1] if list((tmp_path / "many").glob("shard*")) else []:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    watch = threading.Thread(target=kill)
    watch.start()
    found = go(folder, rows(), tmp_path / "many", workers=2)
    ended.set()
    watch.join()
    assert killed
    assert not workers()
    assert found.manifest["done"]["errors"] == 18
    assert found.to_arrow().equals(whole)
    assert not (tmp_path / "many" / ".todo").exists()
    found.shards[2].unlink()  # and one process goes on where several were
    assert go(str(folder), rows(), tmp_path / "many", cache=0).to_arrow().equals(whole)


def test_workers_refuse_what_one_process_refuses(folder, tmp_path):
    """Also a value that only JSON makes a text."""
    days = [datetime.date(2024, 1, day) for day in range(1, 4)]
    table = {"text": ["good", "", None, *days], "n": range(6)}
    given = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    one = go(str(folder), given, tmp_path / "one", cache=0).to_arrow()
    many = go(str(folder), given, tmp_path / "many", workers=2).to_arrow()
    assert many.equals(one)
    assert one["error"].null_count == 1


def test_a_module_in_the_working_directory_is_not_imported(folder, tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("raise SystemExit('imported by chance')\n")
    monkeypatch.chdir(tmp_path)
    assert go(str(folder), ["good", "bad"], tmp_path / "o", workers=2).complete


def test_what_fails_in_a_worker_ends_the_run_with_its_words(folder, tmp_path, monkeypatch):
    full = "import saywhy.corpus.jobs as j\ndef fail(*given): raise OSError('no space left')\nj.store_shard = fail\n"
    (tmp_path / "sitecustomize.py").write_text(full)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match="failed over shard 0: OSError: no space left"):
        go(str(folder), rows(10), tmp_path / "o", workers=2)


def test_a_strict_run_of_processes_stops_at_a_bad_row(folder, tmp_path):
    with pytest.raises(InputError, match="Row 0: column 'text' is empty"):
        go(str(folder), [{"text": "", "n": 0}, *rows()[1:7]], tmp_path / "o", workers=2, strict=True)
    assert not workers()
    assert not (tmp_path / "o" / ".todo").exists()


def test_what_workers_cannot_be_told_is_refused_before_anything_is_written(folder, tmp_path):
    model, tokenizer = tiny("bert")
    for given, more, said in [
        ((model, tokenizer), {}, "by its folder or hub id"),
        (str(folder), {"method": saywhy.METHODS["occlusion"].function}, "by its folder or hub id"),
        (saywhy.Explainer(model, tokenizer), {}, "makes its own explainer"),
    ]:
        with pytest.raises(OptionError, match=said):
            go(given, rows(), tmp_path / "o", workers=2, **more)
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="torch sees none"):
            go(str(folder), rows(), tmp_path / "o", gpus=1)
    assert not (tmp_path / "o").exists()


def test_a_worker_that_cannot_begin_says_why(folder, tmp_path):
    explainer = saywhy.Explainer(*tiny("bert"))
    with pytest.raises(ModelError, match="could not begin"):
        go(explainer, rows(), tmp_path / "o", workers=2, actors={"model": str(tmp_path / "nowhere")})


def test_a_shard_that_kills_every_worker_ends_the_run(folder, tmp_path, monkeypatch):
    lethal = (
        "import os, saywhy.explain.pipeline\nsaywhy.explain.pipeline.Pipeline.attempt = lambda *given: os._exit(7)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(lethal)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match=rf"{TRIES} workers died over shard 0 \(exit status 7\)"):
        go(str(folder), rows(10), tmp_path / "o", workers=2)
