"""The survey of architectures: a handful of classes of every kind, refusals with a way out, and the page that is in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from saywhy.cli.app import app
from saywhy.selftest.architectures import HEADINGS, registered
from saywhy.selftest.architectures.build import UnbuiltError, small
from saywhy.selftest.architectures.check import KINDS, Found, check
from saywhy.selftest.architectures.survey import counts, page, survey

ROOT = Path(__file__).parents[2]
GOOD = {
    "sequence classification": "RobertaForSequenceClassification",
    "token classification": "AlbertForTokenClassification",
    "question answering": "BartForQuestionAnswering",
    "masked LM": "MBartForConditionalGeneration",
    "causal LM": "Gemma3ForCausalLM",
    "seq2seq LM": "T5ForConditionalGeneration",
    "image classification": "ViTForImageClassification",
}


def found(heading: str, name: str) -> Found:
    return next(check(each) for each in registered([name]) if each.heading == heading)


def test_every_heading_of_transformers_is_there():
    listed = list(registered())
    assert {each.heading for each in listed} == set(HEADINGS)
    assert len({(each.heading, each.name) for each in listed}) == len(listed) > 500


@pytest.mark.parametrize(("heading", "name"), GOOD.items())
def test_a_class_of_each_kind_is_explained(heading, name):
    got = found(heading, name)
    assert got.prediction == "yes", got
    assert all(got.results[kind] == "yes" for kind in ("coalitions", "gradients", "rules")), got
    assert got.complete


@pytest.mark.parametrize("name", ["MambaForCausalLM", "RwkvForCausalLM", "BloomForCausalLM", "BigBirdForCausalLM"])
def test_states_and_other_embeddings_have_gradients(name):
    got = found("causal LM", name)
    assert (got.prediction, got.results["coalitions"], got.results["gradients"]) == ("yes", "yes", "yes"), got


def test_refusals_say_what_to_use_instead():
    reformer = found("sequence classification", "ReformerForSequenceClassification")
    assert reformer.results["coalitions"] == "yes"
    assert "kernel_shap" in reformer.results["gradients"]
    xlnet = found("causal LM", "XLNetLMHeadModel")
    assert "looks ahead" in xlnet.prediction


def test_the_survey_ends_what_takes_too_long_and_goes_on(monkeypatch):
    from saywhy.selftest.architectures import survey as module

    monkeypatch.setattr(module, "STARTING", 0.0)
    [got] = survey(["BertForMaskedLM"], seconds=0.01)
    assert "took more than" in got.unbuilt


def test_a_configuration_is_small_in_all_its_parts():
    config = small("llava", "causal LM") if "llava" in {r.kind for r in registered()} else small("gemma3", "causal LM")
    assert config.text_config.hidden_size <= 64
    assert config.text_config.vocab_size < 200
    with pytest.raises((UnbuiltError, KeyError)):
        small("no such kind", "causal LM")


def test_the_page_tells_each_exception_once():
    yes = dict.fromkeys(KINDS, "yes")
    rows = [
        Found("masked LM", "AForMaskedLM", prediction="yes", results=yes, gap=0.001),
        Found("masked LM", "BForMaskedLM", prediction="yes", results={**yes, "rules": "BForMaskedLM is odd"}, gap=0.5),
        Found("masked LM", "CForMaskedLM", unbuilt="ImportError: no such library"),
    ]
    text = page(rows, "5.0")
    assert "| AForMaskedLM | yes | yes | yes | yes | yes | yes |" in text
    assert "| BForMaskedLM | yes | yes | yes | - | - | yes |" in text
    assert "rules: The model is odd — BForMaskedLM (masked LM)" in text
    assert "ImportError: no such library — CForMaskedLM" in text
    assert "2 can be built" in counts(rows)


def test_the_counts_in_the_readme_are_those_of_the_page():
    told = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    [line] = [line for line in told.splitlines() if line.startswith("Of ") and "transformers registers" in line]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert line in readme
    asked = sum(int(n) for n in re.findall(r": (\d+) of \d+ asked", told))
    assert f"{asked} can be built tiny" in line


def test_the_command_names_what_is_not_registered(tmp_path):
    done = CliRunner().invoke(app, ["architectures", "BertForNothing"])
    assert done.exit_code != 0
    assert "BertForNothing" in str(done.exception)
    done = CliRunner().invoke(app, ["architectures", "BertForMaskedLM", "-o", str(tmp_path / "page.md")])
    assert done.exit_code == 0, done.output
    assert "| BertForMaskedLM | yes |" in (tmp_path / "page.md").read_text(encoding="utf-8")
