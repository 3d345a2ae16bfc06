"""Files, devices, servers and streams that are not as one would wish: nothing is lost, and one line says what is wrong."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from saywhy import Explainer, corpus
from saywhy.core.errors import FileError, InputError, ModelError, OptionError
from saywhy.llm import citations
from saywhy.llm.citations import Document, read_documents
from saywhy.llm.citations.documents import documents_of, passed_over
from saywhy.models.remote.cache import AnswerCache
from saywhy.models.remote.client import checked_url
from saywhy.models.remote.scoring import number, places_of
from saywhy.storage.atomic import write
from saywhy.storage.paths import output_file
from saywhy.storage.tables import rows
from tiny_lm import language_model


def command(*words, **given):
    return subprocess.run([sys.executable, "-m", "saywhy", *words], capture_output=True, timeout=240, **given)


# ---- where something is written --------------------------------------------------------------------------------------


def test_a_link_stays_a_link_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "real.html").write_text("before")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write(tmp_path / "link.html", b"after")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_bytes() == b"after"
    (tmp_path / "dangling.html").symlink_to(tmp_path / "new.html")
    write(tmp_path / "dangling.html", b"new")
    assert (tmp_path / "new.html").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe, read = tmp_path / "pipe.json", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert output_file(pipe, (".json",)) == pipe
    write(pipe, b"{}")
    reader.join(20)
    assert read == [b"{}"]
    assert pipe.is_fifo()


def test_the_longest_name_of_a_file_can_be_written_and_a_failure_names_that_file(tmp_path):
    name = "a" * 250 + ".html"
    write(tmp_path / name, b"x")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with pytest.raises(FileError, match=r"there/x\.html cannot be written"):
        write(tmp_path / "there" / "x.html", b"x")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_a_folder_that_takes_no_files_is_refused_before_the_work():
    if os.access("/proc", os.W_OK):
        pytest.skip("/proc can be written here")
    with pytest.raises(FileError, match="nothing can be written into"):
        output_file("/proc/x.html", (".html",))


@pytest.mark.parametrize(
    "words",
    [
        [
            "compare",
            "rows.csv",
            "--text",
            "text",
            "--methods",
            "occlusion",
            "--metrics",
            "completeness_gap",
            "-o",
            "rows.csv",
        ],
        ["explain", "--table", "rows.csv", "--text", "text", "--format", "json", "-o", "link.csv"],
        ["cite", "--question", "who?", "--documents", "rows.txt", "--model", "none", "-o", "rows.txt"],
    ],
)
def test_what_is_read_is_not_overwritten(tmp_path, words):
    (tmp_path / "rows.csv").write_text("text\na good film\n")
    (tmp_path / "rows.txt").write_text("A good film.\n")
    (tmp_path / "link.csv").symlink_to("rows.csv")
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert b"what is read" in b" ".join(done.stderr.replace("│".encode(), b" ").split())
    assert (tmp_path / "rows.csv").read_text() == "text\na good film\n"
    assert (tmp_path / "rows.txt").read_text() == "A good film.\n"


def test_a_file_where_a_folder_belongs_and_a_folder_where_a_file_does_are_called_so(tmp_path):
    (tmp_path / "rows.csv").write_text("text\na good film\n")
    with pytest.raises(FileError, match=r"rows\.csv is a file: give an empty or a new folder"):
        corpus.run(Explainer(), tmp_path / "rows.csv", tmp_path / "rows.csv", text="text")
    with pytest.raises(FileError, match="is a folder: give a file"):
        list(rows(tmp_path))


# ---- standard streams ------------------------------------------------------------------------------------------------


def test_signs_that_the_output_cannot_show_are_spelt_out_and_the_file_is_there(tmp_path):
    (tmp_path / "rows.csv").write_text("text\na good film\na bad film\n")
    words = ["compare", "rows.csv", "--text", "text", "--methods", "occlusion", "--metrics", "completeness_gap"]
    done = command(*words, "-o", "out.html", cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.html").exists()
    assert b"\\u" in done.stdout


def test_a_closed_output_is_no_fault():
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m saywhy tasks >&-"], capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupted_training_ends_as_other_commands_do(tmp_path):
    pytest.importorskip("lightning")
    rows = "".join(f"a {'good' if i % 2 else 'bad'} film number {i},{i % 2}\n" for i in range(4_000))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    words = [sys.executable, "-m", "saywhy", "train", "rows.csv", "--text", "text", "--label", "label", "-o", "out"]
    code = (
        "import threading, time, os, signal, sys\n"
        "import lightning.pytorch as pl\n"
        "fit = pl.Trainer.fit\n"
        "def begun(*a, **k):\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    return fit(*a, **k)\n"
        "pl.Trainer.fit = begun\n"
        f"sys.argv = {['saywhy', *words[3:], '--epochs', '500']!r}\n"
        "from saywhy.cli.app import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=240)
    assert done.returncode == 130, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_worker_whose_pipe_is_gone_ends_without_a_word(tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-c", "from saywhy.corpus.worker import main; main()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    worker.stdout.close()
    worker.stdin.write(b"{}\n")  # no job: it has something to say, and nobody to say it to
    worker.stdin.close()
    assert b"BrokenPipe" not in worker.stderr.read()
    worker.stderr.close()
    assert worker.wait(60) != 0


# ---- documents and citations -----------------------------------------------------------------------------------------


def test_documents_without_an_id_get_numbers_that_no_other_has():
    rows = [
        {"id": "", "text": "The cat sat."},
        {"id": math.nan, "text": "Dog ran.", "title": math.nan},
        {"text": "Ada."},
    ]
    assert [(d.id, d.title) for d in documents_of(rows)] == [("1", ""), ("2", ""), ("3", "")]
    mixed = documents_of([{"id": 2, "text": "Two."}, {"text": "None."}, {"id": "1", "text": "One."}, {"text": "None."}])
    assert [d.id for d in mixed] == ["2", "3", "1", "4"]
    with pytest.raises(InputError, match="Two documents"):
        documents_of([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}])


def test_a_folder_of_documents_leaves_out_what_is_hidden_and_says_what_else(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".DS_Store").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "~$notes.txt").write_bytes(b"\xff")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfThe cat sat.\n")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "more.csv").write_text("text\nDog ran.\n")
    assert read_documents(tmp_path) == (Document("a.txt", "The cat sat.\n"),)
    assert passed_over(tmp_path, read_documents(tmp_path)) == ["empty.md", "more.csv"]
    with pytest.raises(InputError, match="blank"):
        read_documents(tmp_path / "empty.md")


@pytest.fixture(scope="module")
def cited():
    explainer = Explainer(*language_model("Llama"))
    documents, prompt = ["A cat.\r\nA dog."], "{documents}\n{question}\n"  # few tokens: the model reads 64
    return citations.cite(explainer, "who?", documents, "A cat.\r\nIt is.", prompt=prompt)


def test_line_ends_of_other_systems_are_line_ends_in_every_drawing(cited):
    for drawn in (cited.to_html(), cited.to_markdown(), str(cited)):
        assert "\\r" not in drawn


def test_markdown_of_an_answer_shows_as_it_is():
    from saywhy.llm.citations.page import _escaped

    assert _escaped("(http://x.example/) &copy;\n- a\n1. b\n=== 3.5") == (
        "\\(http://x.example/\\) \\&copy;\n\\- a\n1\\. b\n\\=== 3.5"
    )


DAMAGE = {
    "tokens": lambda s: s.update(tokens=-1),
    "value": lambda s: s.update(value=math.nan),
    "span": lambda s: s.update(span=[3, 1]),
    "sources[0].span": lambda s: s["sources"][0].update(span=[0, 3]),
    "sources[0].document": lambda s: s["sources"][0].update(document="nobody"),
    "sources[0].score": lambda s: s["sources"][0].update(score=math.inf),
}


@pytest.mark.parametrize("field", DAMAGE)
def test_a_damaged_field_of_citations_is_named(cited, tmp_path, field):
    data = cited.to_dict()
    statement = data["statements"][0]
    statement["sources"] = [{"document": "1", "span": [0, 6], "text": "A cat.", "score": 1.0, "stderr": 0.1}]
    (tmp_path / "sound.json").write_text(json.dumps(data))
    assert citations.load_citations(tmp_path / "sound.json")[0].sources[0].text == "A cat."
    DAMAGE[field](statement)
    (tmp_path / "damaged.json").write_text(json.dumps(data))
    with pytest.raises(
        FileError, match=rf"statements\[0\]\.{field.replace('[', chr(92) + '[').replace(']', chr(92) + ']')}'"
    ):
        citations.load_citations(tmp_path / "damaged.json")


def test_a_statement_of_no_token_can_be_drawn(cited, tmp_path):
    data = cited.to_dict()
    data["statements"][0] |= {"tokens": 0, "verdict": "no source in these documents", "sources": []}
    (tmp_path / "none.json").write_text(json.dumps(data))
    assert "no source" in str(citations.load_citations(tmp_path / "none.json"))


# ---- servers ---------------------------------------------------------------------------------------------------------


def test_a_log_probability_that_is_missing_is_not_taken_for_certainty():
    told = {"tokens": ["a", "b"], "token_logprobs": [None, -1.5]}
    assert [p.logprob for p in places_of({"logprobs": told}, {}, echo=True)] == [0.0, -1.5]
    for echo, logprobs in ((False, [None, -1.5]), (True, [-1.0, None]), (True, [None, None])):
        with pytest.raises(ModelError, match="None where a log-probability stands"):
            places_of({"logprobs": {**told, "token_logprobs": logprobs}}, {}, echo=echo)


@pytest.mark.parametrize("value", [None, "x", True, math.nan, 1.0, 10**400, [1]])
def test_what_is_no_log_probability_is_refused(value):
    with pytest.raises(ModelError, match="where a log-probability stands"):
        number(value, {})
    assert number(-(10**400), {}) == number(-math.inf, {}) == -9999.0


@pytest.mark.parametrize(
    "address",
    ["http://[::1", "http://localhost:99999/v1", "http://127.0.0.1:x/v1", "http://\u0661.1/v1", "http://", "ftp://x"],
)
def test_an_address_that_is_none_is_refused_in_words(address):
    with pytest.raises(OptionError, match="A server is an address such as"):
        checked_url(address)
    assert checked_url("HTTP://Localhost:1/v1/") == "HTTP://Localhost:1/v1"


def test_the_database_of_another_program_is_not_taken_for_a_cache(tmp_path):
    for table in ("CREATE TABLE answers (x)", "CREATE TABLE others (x)"):
        path = tmp_path / f"{len(table)}.db"
        with sqlite3.connect(path) as file:
            file.execute(table)
        file.close()
        before = path.read_bytes()
        with pytest.raises(FileError, match="another program"):
            AnswerCache(path)
        assert path.read_bytes() == before


def test_answers_of_another_form_than_a_way_has_are_told_in_words():
    from saywhy.models.remote.scoring import WAYS, Question, read_by

    way = next(way for way in WAYS.values() if way.name == "generate")
    question = Question(prompt=(1, 2), goal=(3,), text="x", width=1)
    for answer in ({"meta_info": 3}, {"meta_info": {"input_token_logprobs": [3]}}, [], None):
        with pytest.raises(ModelError):
            read_by(way, question, [answer])


@pytest.mark.parametrize("token", ["пароль", " ", " a", "a\n"])
def test_a_token_that_no_header_can_show_is_refused_at_the_start(token):
    from saywhy.serve.run import run

    with pytest.raises(OptionError, match="A token is of ASCII letters"):
        run([], host="127.0.0.1", token=token)


def test_a_field_called_image_does_not_lift_the_limit_of_texts():
    from saywhy.serve.questions import LONGEST, _short_enough

    _short_enough({"image": "x" * (LONGEST + 1)})
    with pytest.raises(InputError, match="a server takes up to"):
        _short_enough({"image": "y", "text": "x" * (LONGEST + 1)})
