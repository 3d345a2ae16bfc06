"""`saywhy cite`, as it is called."""

from __future__ import annotations

import pytest
from benchmarks.attack.commands import command

import saywhy
from tiny_lm import language_model


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The folder of a model, and a folder of two documents."""
    base = tmp_path_factory.mktemp("cite")
    model, tokenizer = language_model("Llama")
    model.save_pretrained(base / "model")
    tokenizer.save_pretrained(base / "model")
    (base / "notes").mkdir()
    (base / "notes" / "a.txt").write_text("the movie was good. the cat", encoding="utf-8")
    (base / "notes" / "b.md").write_text("a long night", encoding="utf-8")
    (base / "answer.txt").write_text("a lovely day\n", encoding="utf-8")
    (base / "prompt.txt").write_text("{documents}\n{question}", encoding="utf-8")
    return base


def asked(given, *more, documents="notes", piped=None):
    line = ["cite", "--question", "was", "--documents", str(given / documents), "--model", str(given / "model")]
    return command([*line, "--prompt", str(given / "prompt.txt"), *map(str, more)], piped)


def test_an_answer_from_a_file_and_from_a_pipe(given):
    status, out, err = asked(given, "--answer", given / "answer.txt")
    assert status == 0, err
    assert "a lovely day" in out
    assert "forwards of up to" in err
    model, tokenizer = language_model("Llama")
    documents = [{"id": "a.txt", "text": "the movie was good. the cat"}, {"id": "b.md", "text": "a long night"}]
    found = saywhy.cite(
        saywhy.Explainer(model, tokenizer), "was", documents, "a lovely day", prompt="{documents}\n{question}"
    )
    assert out.strip() == str(found).strip()
    assert asked(given, "--answer", "-", piped=b"a lovely day\n")[1] == out


@pytest.mark.parametrize("ending", [".html", ".md", ".json", ".txt"])
def test_files(given, tmp_path, ending):
    path = tmp_path / f"why{ending}"
    status, _, err = asked(given, "--answer", given / "answer.txt", "-o", path)
    assert status == 0, err
    assert "a lovely day" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-o", "why.pdf"], "must end in"),
        (["--answer", "none.txt"], "no file"),
        (["--budget", "1"], "budget"),
        (["--confidence", "2"], "confidence"),
        (["--cache", "answers.sqlite"], "for a server"),
    ],
)
def test_slips_are_one_line(given, more, said):
    status, out, err = asked(given, *(more if "--answer" in more else [*more, "--answer", given / "answer.txt"]))
    assert status in (1, 2)
    assert not out
    assert said in err
    assert "Traceback" not in err


def test_documents_that_are_none(given, tmp_path):
    (given / "empty").mkdir(exist_ok=True)
    for documents, said in (("empty", "holds no document"), ("missing.txt", "no file")):
        status, _, err = asked(given, "--answer", given / "answer.txt", documents=documents)
        assert status in (1, 2)
        assert said in err
