"""`saywhy prompt`, whole and in parts."""

from __future__ import annotations

import sys

import pytest

import saywhy
import saywhy.cli.app
from saywhy.cli.prompt_slots import Asked, announced, cost_of, levels_of, template_of
from saywhy.core.errors import OptionError
from tiny_lm import language_model

TEXT = "{name} from {country} applied. They"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model, tokenizer = language_model("Llama")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def prompt(monkeypatch, capsys):
    """The command within this process: exit status, standard output, standard error."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["saywhy", "prompt", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            saywhy.cli.app.main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_slots_from_the_command_line():
    made = template_of(TEXT, ["name=Georg,country=Germany, EU"], ["country=Togo,Tonga"])
    assert made.named == {"name": "Georg", "country": "Germany, EU"}
    assert [row["country"] for row in made.draws.rows] == ["Togo", "Tonga"]
    assert {row["name"] for row in made.draws.rows} == {""}
    assert cost_of(made, Asked(), False) == 2 * 3
    assert cost_of(made, Asked(against=" x"), False) == 12
    assert levels_of(made)["country"] == ["Germany, EU", "Togo", "Tonga"]
    with pytest.raises(OptionError, match="write SLOT=VALUE"):
        template_of(TEXT, ["Georg"], [])
    with pytest.raises(OptionError, match="coalition methods"):
        cost_of(made, Asked("saliency"), False)


def test_an_explanation_and_a_probe(prompt, folder, tmp_path):
    given = (TEXT, "--values", "name=Georg,country=Germany", "--baseline", "country=Togo,Tonga", "--target", " lovely")
    code, out, told = prompt(*given, "--model", folder, "-o", tmp_path / "why.json")
    assert code == 0, told
    assert "6 prompts to score" in told
    assert [f.part for f in saywhy.load(tmp_path / "why.json").features] == ["slot:name", "slot:country"]
    code, out, told = prompt(*given, "--baseline", "name=Ada", "--model", folder, "--probe")
    assert code == 0, told
    assert "6 prompts to score" in told
    assert "spread" in out
    assert "Tonga" in out
    code, out, told = prompt(*given, "--model", folder, "--probe")
    georg = next(line.split() for line in out.splitlines() if line.startswith("  Georg"))
    assert georg == ["Georg", "0.0000"]


def test_slips_are_one_line(prompt, folder):
    code, out, told = prompt(TEXT, "--values", "name=Georg", "--target", " x", "--model", folder)
    assert (code, out) == (2, "")
    assert "slot 'country' has no value" in told
    assert "Traceback" not in told


def test_a_probe_is_refused_before_a_model_is_loaded(prompt):
    for args, said in (
        (("--target", " x"), "compares each slot's value with its --baseline"),
        (("--baseline", "name=Ada"), "the probability of a --target"),
    ):
        code, out, told = prompt("{name} applied", "--values", "name=Georg", *args, "--model", "no/folder", "--probe")
        assert (code, out) == (2, "")
        assert said in told
        assert "to score" not in told


def test_one_prompt_is_one_prompt():
    made = template_of("{name} applied", ["name=Georg"], ["name=Georg"])
    assert announced(made, Asked(), True, "m") == "1 prompt to score with m"
    assert announced(made, Asked(against=" x"), False, "m").startswith("2 prompts")
