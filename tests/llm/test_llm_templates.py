"""Templates, conversations and probes: right numbers by hand, and slips told before any forward."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

import saywhy
from saywhy.core.errors import FileError, InputError, MethodError, OptionError, SaywhyError
from saywhy.core.features import removed
from saywhy.llm import Chat, Template, in_context, probe
from tiny_lm import language_model, straight

TEXT = "{name} from {country} applied. They"
VALUES = {"name": "Georg", "country": "Togo"}
BASELINES = {"name": ["Maria", "Ahmed"], "country": ["Tonga", "Cuba", "Peru"]}
TARGET = " lovely"


def explainer(name="Llama", **settings):
    return saywhy.Explainer(*language_model(name), **settings)


def value(prompt, target=TARGET):
    return float(straight(*language_model("Llama"), prompt, target).sum())


def slow(text, values, draws, target=TARGET):
    """Shapley values by all orders; v(S) is the mean over the baseline draws."""

    def v(present):
        filled = [{k: values[k] if k in present else d[k] for k in values} for d in draws]
        return np.mean([value(text.format(**f), target) for f in filled])

    orders = list(itertools.permutations(values))
    out = dict.fromkeys(values, 0.0)
    for order in orders:
        for i, slot in enumerate(order):
            out[slot] += (v(order[: i + 1]) - v(order[:i])) / len(orders)
    return list(out.values())


class TestNumbers:
    def test_exact_shapley_values_over_all_baselines(self):
        draws = [dict(zip(BASELINES, row, strict=True)) for row in itertools.product(*BASELINES.values())]
        e = explainer()(Template(TEXT, VALUES, BASELINES), target=TARGET, method="shapley_values")
        np.testing.assert_allclose(e.scores, slow(TEXT, VALUES, draws), atol=1e-4)
        assert e.value == pytest.approx(value(TEXT.format(**VALUES)), abs=1e-4)
        assert e.base == pytest.approx(np.mean([value(TEXT.format(**d)) for d in draws]), abs=1e-4)
        assert [f.part for f in e.features] == ["slot:name", "slot:country"]
        assert e.cost.rows == 3 * 4
        assert any("all 6 combinations" in note for note in e.notes)
        assert e.texts["prompt"] == TEXT.format(**VALUES)
        assert (e.options["by"], e.options["absent"]) == ("slot", "baseline")
        again = explainer()(Template(TEXT, VALUES, BASELINES), target=TARGET)
        assert again.method == "kernel_shap"
        np.testing.assert_allclose(again.scores, e.scores, atol=1e-6)

    def test_tuple_keys_move_together(self):
        pairs = {("name", "country"): [("Maria", "Cuba"), ("Ahmed", "Peru")]}
        draws = [dict(zip(VALUES, row, strict=True)) for row in pairs["name", "country"]]
        e = explainer()(Template(TEXT, VALUES, pairs), target=TARGET, method="shapley_values")
        np.testing.assert_allclose(e.scores, slow(TEXT, VALUES, draws), atol=1e-4)

    def test_groups_are_one_feature(self):
        template = Template(TEXT, VALUES, {"name": "Maria", "country": "Cuba"}, groups={"who": ["name", "country"]})
        e = explainer()(template, target=TARGET, method="shapley_values")
        assert [f.label for f in e.features] == ["Georg, Togo"]
        assert e.scores[0] == pytest.approx(
            value("Georg from Togo applied. They") - value("Maria from Cuba applied. They"), abs=1e-4
        )

    def test_many_baselines_are_drawn_evenly_with_a_seed(self):
        many = {"name": [f"a{i}" for i in range(8)], "country": ["x", "y"]}
        template = Template(TEXT, VALUES, many, most=10, samples=8, seed=1)
        rows = template.draws.rows
        assert sorted(row["name"] for row in rows) == sorted(many["name"])
        assert [row["country"] for row in rows].count("x") == 4
        assert rows == Template(TEXT, VALUES, many, most=10, samples=8, seed=1).draws.rows
        assert rows != Template(TEXT, VALUES, many, most=10, samples=8, seed=2).draws.rows
        e = explainer()(template, target=TARGET, method="shapley_values")
        assert abs(e.gap) < 1e-9
        assert any("8 of 16 combinations of baselines, drawn with seed 1" in note for note in e.notes)

    def test_every_token_contrast_and_what_the_model_writes(self):
        one, template = explainer(), Template(TEXT, VALUES, BASELINES)
        goal = " lovely mess"
        whole = one(template, target=goal, method="shapley_values")
        tokens = one.each_target({"prompt": template, "continuation": goal}, method="shapley_values")
        np.testing.assert_allclose(tokens.matrix.sum(0), whole.scores, atol=1e-5)
        both = one(template, target=goal, against=" bad", method="shapley_values")
        other = one(template, target=" bad", method="shapley_values")
        np.testing.assert_allclose(both.scores, whole.scores - other.scores, atol=1e-5)
        written = saywhy.Explainer(*language_model("Llama", seed=1))(template, method="occlusion")
        assert written.prediction == written.target.label != ""

    def test_several_templates_and_a_callable(self):
        one = explainer()
        plain = Template(TEXT, VALUES, BASELINES)
        called = Template(lambda name, country: f"{name} from {country} applied. They", VALUES, BASELINES)
        listed = Template(
            "{} from {} applied. They", list(VALUES.values()), [["Maria", "Ahmed"], ["Tonga", "Cuba", "Peru"]]
        )
        found = one([plain, called, listed], target=TARGET, method="shapley_values")
        np.testing.assert_allclose(found[1].scores, found[0].scores, atol=1e-6)
        np.testing.assert_allclose(found[2].scores, found[0].scores, atol=1e-6)

    def test_seq2seq(self):
        model, tokenizer = language_model("T5")
        e = explainer("T5")(
            Template("the {what} movie", {"what": "good"}, {"what": "bad"}), target="love", method="occlusion"
        )
        first, second = (float(straight(model, tokenizer, f"the {w} movie", "love").sum()) for w in ("good", "bad"))
        assert e.scores[0] == pytest.approx(first - second, abs=1e-4)


def texts(template):
    n = len(template.features)
    return [told.text for [told] in template.filled(None, np.array([[True] * n, [False] * n]))]


class TestSlips:
    def test_braces(self):
        assert texts(Template('{{"a": {x}}}', {"x": "1"})) == ['{"a": 1}', '{"a": }']
        assert texts(Template('{"a": {"b": {x}}}', {"x": "1"}))[0] == '{"a": {"b": 1}}'
        assert texts(Template('{"a": {"b": {x}}} {{x}} {', {"x": "1"}))[0] == '{"a": {"b": 1}} {x} {'
        assert texts(Template("if (a) { return {x}; }", {"x": "1"}))[0] == "if (a) { return 1; }"

    def test_slots_and_keys(self):
        with pytest.raises(OptionError, match=r"slot 'countri' has no value .*Is 'country' meant"):
            Template("{name} from {countri}", VALUES)
        with pytest.raises(OptionError, match=r"slot 'name' has no value .*'nam', 'country'.* Is 'nam' meant"):
            Template("{name} from {country}", {"nam": "Georg", "country": "Togo"})
        with pytest.raises(OptionError, match=r"for 'x'\. For literal"):
            Template("{x} {somewhere}", {"x": "Togo"})
        with pytest.raises(OptionError, match=r"more \{\} than values"):
            Template("{} and {}", ["a"])
        with pytest.raises(InputError, match="'country' has a value, and stands nowhere"):
            Template("{name} applied", VALUES)
        with pytest.raises(InputError, match="has no baseline"):
            Template(TEXT, VALUES, {"name": "x"})
        with pytest.raises(OptionError, match="Did you mean 'name'"):
            Template(TEXT, VALUES, {"nam": "x", "country": "y"})
        with pytest.raises(InputError, match="nothing to explain"):
            Template("no slots", {})
        with pytest.raises(InputError, match="empty list"):
            Template(TEXT, VALUES, {"name": [], "country": "y"})
        with pytest.raises(InputError, match="has 1 values for 2 slots"):
            Template(TEXT, VALUES, {("name", "country"): [("x",)]})
        with pytest.raises(OptionError, match="in two groups"):
            Template(TEXT, VALUES, groups={"a": ["name"], "b": ["name"]})
        with pytest.raises(InputError, match="must be one text"):
            Template(TEXT, {"name": ["Georg"], "country": "Togo"})

    def test_a_list_that_all_slots_share(self):
        shared = dict.fromkeys(VALUES, [])  # noqa: RUF024
        for key in shared:
            shared[key].append(["a", "b"])
        with pytest.raises(InputError, match=r"dict\.fromkeys"):
            Template(TEXT, VALUES, shared)

    def test_a_slot_in_two_places(self):
        template = Template("{x} and {x}", {"x": "a"}, {"x": "b"})
        assert texts(template) == ["a and a", "b and b"]
        assert "in 2 places" in template.notes[0]

    def test_what_a_template_does_not_take(self):
        one, template = explainer(), Template(TEXT, VALUES)
        with pytest.raises(MethodError, match="changes length"):
            one(template, target=TARGET, method="integrated_gradients")
        with pytest.raises(OptionError, match="features are its slots"):
            one(template, target=TARGET, by="token")
        with pytest.raises(InputError, match="calls of their own"):
            one([template, "text"], target=TARGET)
        with pytest.raises(InputError, match="can read 64"):
            one(Template("{x}", {"x": "good " * 80}), target=TARGET)


CHAT = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MESSAGES = [{"role": "system", "content": "You love films."}, {"role": "user", "content": "the movie was a"}]


@pytest.fixture
def chatty():
    model, tokenizer = language_model("Llama")
    tokenizer.chat_template = CHAT
    yield saywhy.Explainer(model, tokenizer)
    tokenizer.chat_template = None


class TestChat:
    def test_messages_words_and_roles(self, chatty):
        tokenizer = chatty.model.tokenizer
        e = chatty(Chat(MESSAGES), target=TARGET, by="message", method="shapley_values", absent="drop")
        assert [f.label for f in e.features] == ["You love films.", "the movie was a"]
        ids = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False)
        assert ids.count(tokenizer.bos_token_id) == 1
        prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
        assert tokenizer(prompt)["input_ids"] == ids  # this tokenizer adds none
        assert e.value == pytest.approx(value(prompt), abs=1e-4)
        words = chatty(Chat(MESSAGES, roles=("user",)), target=TARGET, method="occlusion")
        assert [f.label for f in words.features] == ["the", "movie", "was", "a"]
        assert all(e.texts["prompt"][slice(*f.span)] == f.label for f in words.features)

    def test_messages_that_the_template_says_as_well(self, chatty):
        tokenizer = chatty.model.tokenizer
        messages = [
            {"role": "system", "content": " a "},
            {"role": "user", "content": "us"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "us"},
        ]
        made = Chat(messages).rendered(tokenizer)
        assert made.text == tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        before = ("<|system|> ", "<|user|>", "<|assistant|>\n<|user|>")
        assert [made.text[a:b] for a, b in made.within] == ["a", "us", "us"]
        assert all(made.text[:a].endswith(said) for (a, _), said in zip(made.within, before, strict=True))
        assert len(Chat(messages, roles=("user",)).rendered(tokenizer).within) == 2
        tokenizer.chat_template = CHAT.replace("m['content']", "m['content'] | trim | upper")
        with pytest.raises(InputError, match="rewrites the system message 'a'"):
            Chat(messages).rendered(tokenizer)

    def test_slots_inside_messages(self, chatty):
        messages = [{"role": "user", "content": "the {what} was a"}]
        e = chatty(Template(messages, {"what": "movie"}, {"what": "night"}), target=TARGET, method="occlusion")
        made = [CHATTED.format(what) for what in ("movie", "night")]
        assert e.scores[0] == pytest.approx(value(made[0]) - value(made[1]), abs=1e-4)

    def test_no_second_beginning_token(self):
        from tokenizers import processors

        model, tokenizer = language_model("GPT2")
        import copy

        adding = copy.deepcopy(tokenizer)
        adding.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
        assert adding("the")["input_ids"][0] == 0
        one = saywhy.Explainer(model, adding)
        plain = one("the movie", target=TARGET, method="random")
        brought = one("<|endoftext|>the movie", target=TARGET, method="random")
        assert brought.value == pytest.approx(plain.value, abs=1e-5)
        filled = one(Template("<|endoftext|>the {x}", {"x": "movie"}, {"x": "day"}), target=TARGET, method="occlusion")
        assert filled.value == pytest.approx(plain.value, abs=1e-5)

    def test_slips(self):
        with pytest.raises(InputError, match="has no chat template"):
            explainer("GPT2")(Chat(MESSAGES), target=TARGET)
        with pytest.raises(InputError, match="must have"):
            Chat([{"content": "x"}])
        with pytest.raises(OptionError, match="'user'"):
            Chat(MESSAGES, roles=("usr",))


CHATTED = "<|endoftext|><|user|>the {} was a\n<|assistant|>"


class TestProbe:
    def test_the_table_and_its_effects(self, tmp_path):
        slots = {"name": ["Maria", "Ahmed"], "country": ["Tonga", "Cuba", "Peru"]}
        found = probe(explainer(), TEXT, slots, TARGET)
        assert found.values.shape == (2, 3)
        for i, j in itertools.product(range(2), range(3)):
            prompt = TEXT.format(name=slots["name"][i], country=slots["country"][j])
            assert found.values[i, j] == pytest.approx(value(prompt), abs=1e-4)
        mains, pairs = [found.main(s) for s in slots], found.interaction("name", "country")
        assert sum(mains[0].values()) == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(pairs.sum(0), 0, atol=1e-9)
        np.testing.assert_allclose(found.interaction("country", "name"), pairs.T)
        rebuilt = found.mean + np.add.outer(list(mains[0].values()), list(mains[1].values())) + pairs
        np.testing.assert_allclose(rebuilt, found.values, atol=1e-9)
        assert sum(m.share for m in found.ranking) + found.ranking[0].shared == pytest.approx(1)
        assert found.ranking[0].spread >= found.ranking[1].spread
        assert "Maria" in str(found)
        assert len(found.to_pandas()) == 6
        for ending in ("csv", "parquet", "html", "txt"):
            assert found.save(tmp_path / f"p.{ending}").stat().st_size > 0
        assert (tmp_path / "p.csv").read_text().splitlines()[0] == "name,country,log-prob"
        with pytest.raises(SaywhyError):
            found.save(tmp_path / "p.exe")

    def test_contrast_and_escaping(self):
        found = probe(explainer(), "{x} was", {"x": ["<b>a", "the"]}, " good", against=" bad", unit="prob")
        expected = [math.exp(value(f"{x} was", " good")) - math.exp(value(f"{x} was", " bad")) for x in ("<b>a", "the")]
        np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-9)
        assert "<b>a" not in found._repr_html_()
        assert "&lt;b&gt;a" in found._repr_html_()

    def test_slips(self):
        with pytest.raises(OptionError, match="12 prompts"):
            probe(explainer(), TEXT, {"name": ["a", "b", "c"], "country": ["d", "e", "f", "g"]}, TARGET, most=10)
        with pytest.raises(InputError, match="list of texts"):
            probe(explainer(), TEXT, {"name": "abc", "country": ["d"]}, TARGET)
        with pytest.raises(OptionError, match="needs the target"):
            probe(explainer(), TEXT, {"name": ["a"], "country": ["d"]})


class TestInContext:
    def test_every_token_can_be_chosen_without_a_script(self):
        tokens = explainer().each_target({"prompt": "<b>the</b> movie", "continuation": " was <i>"}, method="occlusion")
        page = in_context(tokens)
        assert page.count('type="radio"') == len(tokens) == page.count('class="v"')
        assert "<script" not in page
        assert "<b>" not in page
        assert "<i>" not in page
        assert page.count(" checked>") == 1
        with pytest.raises(InputError, match="one prompt"):
            in_context([*tokens, explainer()("other", target=" x", method="occlusion")])
        with pytest.raises(InputError, match="one prompt"):
            in_context([])

    def test_slots(self):
        tokens = explainer().each_target(
            {"prompt": Template(TEXT, VALUES, BASELINES), "continuation": TARGET}, method="shapley_values"
        )
        page = in_context(tokens)
        seen = re.sub("<[^>]*>", "", page.partition('<div class="v"')[2].partition("</div>")[0]).partition(">")[2]
        assert seen.endswith("Georg from Togo applied. They"), seen  # where it stands, and once
        assert page.count(">Georg</span>") == len(tokens)

    def test_it_is_a_text_that_can_be_saved(self, tmp_path):
        page = in_context(explainer().each_target({"prompt": "a movie", "continuation": " was"}, method="occlusion"))
        assert isinstance(page, str)
        assert page._repr_html_() == page
        written = page.save(tmp_path / "tokens.html").read_text(encoding="utf-8")
        assert str(page) in written
        assert "Content-Security-Policy" in written
        assert "<script" not in written
        with pytest.raises(FileError, match=r"\.html"):
            page.save(tmp_path / "tokens.png")


class TestPlaces:
    """Where the values of a template stand in the prompt."""

    @pytest.mark.parametrize(
        ("text", "values", "groups", "places"),
        [
            ("{a} and {b}", {"a": "Ann", "b": "Bob"}, {}, ["Ann", "Bob"]),
            ("{a} and {a}, {b}", {"a": "Ann", "b": ""}, {}, ["Ann|Ann", ""]),
            ("{{x}} {a}{b}!", {"a": "an", "b": "an"}, {}, ["an", "an"]),
            ("{} or {}", ["one", "two"], {}, ["one", "two"]),
            ("{b} {c} {a}", {"a": "1", "b": "2", "c": "3"}, {"both": ["a", "b"]}, ["2|1", "3"]),
        ],
    )
    def test_of_texts(self, text, values, groups, places):
        template = Template(text, values, groups=groups)
        [[full]] = template.filled(None, np.full((1, len(template.features)), True))
        found = template.placed(full.text, None)
        assert ["|".join(full.text[a:b] for a, b in f.spans) for f in found] == places
        assert [(f.label, f.part) for f in found] == [(f.label, f.part) for f in template.features]

    def test_in_messages_and_not_where_a_function_writes(self):
        class Plain:
            chat_template = "yes"

            def apply_chat_template(self, messages, tokenize, add_generation_prompt):
                return "".join(f"<{m['role']}>{m['content'].strip()}" for m in messages)

        template = Template(
            [{"role": "user", "content": " Hi {a} "}, {"role": "user", "content": "{a}?"}], {"a": "Ann"}
        )
        [[full]] = template.filled(Plain(), np.array([[True]]))
        assert full.text == "<user>Hi Ann<user>Ann?"
        assert template.placed(full.text, Plain())[0].spans == ((9, 12), (18, 21))
        function = Template(lambda a: a.upper(), {"a": "Ann"})
        assert function.placed("ANN", None)[0].spans == ()
        assert template.placed("another prompt", Plain())[0].spans == ()  # as a template that rewrites values

    def test_a_slot_is_shown_once_and_its_file_comes_back(self, tmp_path):
        e = explainer()(Template(TEXT, VALUES, BASELINES), target=TARGET)
        assert str(e).count("Georg from Togo applied. They") == 1
        assert "slot:name\n" not in str(e)
        assert [f.part for f in e.features] == ["slot:name", "slot:country"]
        again = saywhy.load(e.save(tmp_path / "slots.json"))
        assert again.features == e.features
        assert str(again) == str(e)
        assert removed(e.texts, e.features[1], "∅").startswith("Georg from ∅ applied.")
