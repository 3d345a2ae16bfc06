"""Prompts as people write them: slots in a format, values that are no texts, braces of other kinds beside them."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import numpy as np
import pytest
import torch

import saywhy
from saywhy.core.errors import OptionError
from saywhy.llm import Template
from tiny_lm import language_model

PROMPT = "She was late and"
BOTH = np.array([[True, True], [False, False]])


def prompts(template: Template, both: Any = BOTH) -> list[str]:
    """The prompt with everything and the one with nothing."""
    return [one.text for [one] in template.filled(None, both[:, : len(template.features)])]


@pytest.mark.parametrize(
    ("text", "values", "baselines"),
    [
        ("{:>6} was {!r}.", ["She", "late"], ["He", "early"]),
        ("{price:.2f} for {what} ({price})", {"price": 3.14159, "what": "tea"}, {"price": 0, "what": "it"}),
        ("{people:,} people in {town}", {"people": 12345, "town": "Bonn"}, {"people": 1000, "town": "X"}),
        ("On {day:%d.%m.} {{so}} {n:03d}", {"day": datetime.date(2020, 1, 5), "n": 7}, None),
    ],
)
def test_a_slot_in_a_format_is_written_as_str_format_writes_it(text: str, values: Any, baselines: Any) -> None:
    template = Template(text, values, baselines)
    filled = prompts(template)
    given = {} if isinstance(values, list) else values
    assert filled[0] == text.format(*(values if isinstance(values, list) else ()), **given)
    if baselines is not None:
        assert filled[1] == text.format(
            *(baselines if isinstance(baselines, list) else ()), **({} if isinstance(baselines, list) else baselines)
        )
    for feature in template.placed(filled[0], None):  # what is written there is what is marked
        assert feature.span is not None
        start, end = feature.span
        assert filled[0][start:end].strip(" '") in text.replace("{{", "").format(
            *(values if isinstance(values, list) else ()), **given
        )


def test_a_slot_in_a_format_among_braces_of_another_kind_is_filled() -> None:
    template = Template('{"price": {price:.1f}, "what": "{what}", "more": {x: 1}}', {"price": 2.25, "what": "tea"})
    assert prompts(template) == [
        '{"price": 2.2, "what": "tea", "more": {x: 1}}',
        '{"price": , "what": "", "more": {x: 1}}',  # a text that stands for a number is written as it is
    ]
    assert prompts(Template("{name: string} {name}", {"name": "A"}))[0] == "{name: string} A"
    with pytest.raises(
        OptionError, match=r"'price' is to be written as '\.1f', which is not for its value '2'.* write {price}"
    ):
        Template("{price:.1f}", {"price": "2"})


def test_a_function_is_given_the_values_as_they_are() -> None:
    template = Template(lambda polite, count: "Please. " * count if polite else "Now.", [True, 2], [False, 1])
    assert prompts(template) == ["Please. Please. ", "Now."]
    assert [feature.label for feature in template.features] == ["True", "2"]


def test_prompts_are_those_of_captums_template() -> None:
    captum = pytest.importorskip("captum.attr")
    from saywhy.compat import captum as ours

    for text, values, baselines in (
        ("{:>6} was {!r}", ["She", "late"], ["He", "early"]),
        ("{:.2f} and {}", [3.14159, True], [0.0, False]),
        (lambda a, b: f"{a}{'!' if b else '?'}", [3, True], [1, False]),
    ):
        for row in ([1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]):
            told = [each.TextTemplateInput(text, values, baselines) for each in (captum, ours)]
            theirs, mine = (each.to_model_input(torch.tensor([row])) for each in told)
            assert mine == theirs


def plainly(ids: list[int]) -> float:
    """The log-probability of these tokens after the prompt, from one plain call."""
    model, tokenizer = language_model("Llama")
    before = tokenizer(PROMPT)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([before + ids])).logits[0, len(before) - 1 : -1]
    return float(logits.double().log_softmax(-1).gather(-1, torch.tensor(ids)[:, None]).sum())


def test_continuations_that_read_alike_are_those_of_their_own_tokens() -> None:
    model, tokenizer = language_model("Llama")
    explainer, how = saywhy.Explainer(model, tokenizer), {"method": "occlusion", "trust": "none"}
    whole = tokenizer("so", add_special_tokens=False)["input_ids"]
    cut = [i for letter in "so" for i in tokenizer(letter, add_special_tokens=False)["input_ids"]]
    halves = [[i] for i in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([i])][:2]  # of signs of several bytes
    assert cut != whole
    for first, second in ((cut, whole), halves):
        found = explainer.each_target(PROMPT, [tuple(first), tuple(second)], **how)
        assert [e.value for e in found] == pytest.approx([plainly(first), plainly(second)], abs=1e-4)
        assert len({e.target.label for e in found}) == 2
        e = explainer(PROMPT, target=tuple(first), against=tuple(second), **how)
        assert e.value == pytest.approx(plainly(first) - plainly(second), abs=1e-4)
    found = explainer.each_target(PROMPT, [tuple(cut), "so"], **how)
    assert [e.value for e in found] == pytest.approx([plainly(cut), plainly(whole)], abs=1e-4)
    assert [e.target.label for e in found] == ["so (s o)", "so (so)"]


def test_texts_at_which_a_model_stops_are_followed() -> None:
    first, tokenizer = language_model("Llama")
    model = copy.deepcopy(first)
    ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    written = tokenizer.decode(model.generate(ids, max_new_tokens=9, do_sample=False)[0][ids.shape[1] :])
    model.generation_config.stop_strings = [written[3]]
    model.generation_config.max_new_tokens = 9
    e = saywhy.Explainer(model, tokenizer)(PROMPT, method="random", trust="none")
    own = model.generate(ids, do_sample=False, tokenizer=tokenizer)[0][ids.shape[1] :]
    assert e.target.label == tokenizer.decode(own) != written
