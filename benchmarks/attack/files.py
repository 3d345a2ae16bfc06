"""Files of every kind, each with one place changed, cut off or foreign."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import saywhy
from saywhy import corpus
from saywhy.core.errors import FileError, SaywhyError

from .texts import sound
from .trials import TEXT, counting, only_ours, scratch

JUNK: list[Any] = [
    None,
    True,
    -1,
    10**30,
    2.5,
    "",
    "\x1b[31m",
    [],
    [None],
    {},
    {"a": []},
    [[1]],
    "x" * 300,
    float("nan"),
]


def places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in the data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [*([at] if at else []), *(path for key, value in inner for path in places(value, (*at, key)))]


def changed(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at that place; without it where the value is `...`."""
    out = inner = copy.deepcopy(data)
    for key in at[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[at[-1]]
    else:
        inner[at[-1]] = value
    return out


def changes(data: Callable[[], Any]) -> st.SearchStrategy[Any]:
    """One place of the data, and what is put there."""
    return st.deferred(lambda: st.tuples(st.sampled_from(places(data())), st.sampled_from([*JUNK, ...])))


@functools.cache
def explained() -> dict[str, Any]:
    several = saywhy.Explanations(
        (counting()(TEXT, method="kernel_shap"), counting()([TEXT, "so so"], trust="none")[1])
    )
    return json.loads(several.save(scratch() / "explained.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def check_explanation(trial: tuple[tuple[Any, ...], Any]) -> None:
    path = scratch() / "changed.json"
    path.write_text(json.dumps(changed(explained(), *trial)), encoding="utf-8")
    loaded = only_ours(lambda: saywhy.load(path))
    if isinstance(loaded, SaywhyError):
        assert isinstance(loaded, FileError), loaded
        named = [str(key) for key in trial[0] if not isinstance(key, int)]
        assert any(key in str(loaded) for key in named), f"{loaded} does not name {named}"
    else:
        only_ours(lambda: sound(loaded))


@functools.cache
def language_model() -> Path:
    """A folder with a language model of a few thousand weights and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = scratch() / "language-model"
    words = ["[UNK]", "[EOS]", "Ada", "wrote", "it", ".", "Who", "?", ":"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", eos_token="[EOS]", pad_token="[EOS]")
    config = GPT2Config(
        vocab_size=len(words), n_positions=256, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@functools.cache
def cited() -> dict[str, Any]:
    explainer = saywhy.Explainer(str(language_model()), task="text-generation")
    found = saywhy.cite(explainer, "Who wrote it?", ["Ada wrote it. So it is.", "It is so."], "Ada wrote it. So.")
    data = json.loads(found.save(scratch() / "cited.json").read_text(encoding="utf-8"))
    data["statements"][0] |= {"sources": [{"document": "1", "span": [0, 13], "text": "Ada wrote it.", "score": 1.5, "stderr": 0.1}], "verdict": "supported"}  # fmt: skip
    return data  # type: ignore[no-any-return]


def check_citations(trial: tuple[tuple[Any, ...], Any]) -> None:
    path = scratch() / "changed-citations.json"
    path.write_text(json.dumps(changed(cited(), *trial)), encoding="utf-8")
    loaded = only_ours(lambda: saywhy.Citations.load(path))
    if isinstance(loaded, SaywhyError):
        assert isinstance(loaded, FileError), loaded
    else:
        for ending in (".html", ".md", ".json", ".txt"):
            only_ours(lambda ending=ending: loaded.save(path.with_name("drawn").with_suffix(ending)))
        assert "\x1b" not in str(loaded)


@functools.cache
def classifier() -> Path:
    from saywhy.classifier.classifier import TextClassifier
    from saywhy.classifier.encoders import Values
    from saywhy.classifier.tokenizers import word_piece

    said = ["good film", "bad film"] * 6
    made = TextClassifier.new(word_piece(said), [Values.of("label", ["p", "n"])])
    return made.save(scratch() / "classifier")


def card() -> dict[str, Any]:
    path = classifier() / "saywhy.json"
    kept = path.with_name("kept.json")
    if not kept.exists():
        kept.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def check_card(trial: tuple[tuple[Any, ...], Any]) -> None:
    (classifier() / "saywhy.json").write_text(json.dumps(changed(card(), *trial)), encoding="utf-8")
    loaded = only_ours(lambda: saywhy.Explainer(str(classifier())))
    if not isinstance(loaded, SaywhyError):
        only_ours(lambda: loaded("good film", trust="none", method="occlusion"))


@functools.cache
def run() -> corpus.Corpus:
    rows = [{"text": text, "stars": str(i % 2)} for i, text in enumerate([TEXT, "so so", "a bad one", "", "good"] * 3)]
    return corpus.run(counting(), rows, scratch() / "corpus", trust="none", shard_rows=5)


def reported() -> None:
    found = only_ours(lambda: corpus.report(scratch() / "corpus", by_columns=["stars"]))
    if not isinstance(found, SaywhyError):
        str(found)
        only_ours(lambda: found.save(scratch() / "report.html"))


def check_manifest(trial: tuple[tuple[Any, ...], Any]) -> None:
    path = run().folder / "_manifest.json"
    path.write_text(json.dumps(changed(dict(run().manifest), *trial)), encoding="utf-8")
    reported()
    path.write_text(json.dumps(run().manifest), encoding="utf-8")


def check_shard(trial: tuple[str, int, int]) -> None:
    kind, place, byte = trial
    path = run().shards[0]
    kept = path.read_bytes()
    at = place % len(kept)
    damaged = {"cut": kept[:at], "flip": kept[:at] + bytes([byte]) + kept[at + 1 :], "other": bytes([byte]) * at}
    try:
        if kind == "foreign":
            import pyarrow as pa
            import pyarrow.parquet as pq

            columns: list[dict[str, Any]] = [
                {},
                {"row": [1]},
                {"row": ["x"], "text": [1]},
                {"row": [None], "text": [None]},
            ]
            pq.write_table(pa.table(columns[byte % len(columns)]), path)
        else:
            path.write_bytes(damaged[kind])
        reported()
    finally:
        path.write_bytes(kept)


shards = st.tuples(st.sampled_from(["cut", "flip", "other", "foreign"]), st.integers(0, 10**6), st.integers(0, 255))

# ---- unfinished comparisons -------------------------------------------------------------------------------------------


def compared(path: Path) -> Any:
    texts, asked = [TEXT, "so so", "a bad one"], {"methods": ["occlusion"], "metrics": ["completeness_gap", "deletion"]}
    return saywhy.compare(counting(), texts, **asked, resume=path, progress=False)


@functools.cache
def unfinished() -> list[Any]:
    """The lines of a comparison's resume file: what was asked, and the first two of three texts."""
    path = scratch() / "kept.part"
    compared(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:3]]


def check_resume(trial: tuple[str, Any, int]) -> None:
    kind, what, at = trial
    lines = changed(unfinished(), *what) if kind == "change" else unfinished()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if kind == "cut":
        text = text[: at % len(text)]
    elif kind == "flip":
        text = text[: at % len(text)] + chr(at % 300) + text[at % len(text) + 1 :]
    path = scratch() / "changed.part"
    path.write_text(text, encoding="utf-8")
    found = only_ours(lambda: compared(path))
    if not isinstance(found, SaywhyError):
        str(found)
        only_ours(lambda: found.save(scratch() / "compared.html"))


resume_files = st.tuples(
    st.sampled_from(["change", "change", "cut", "flip"]), changes(unfinished), st.integers(0, 10**6)
)

# ---- folders of models ------------------------------------------------------------------------------------------------

# A configuration may ask for any number of layers, and transformers builds them: what is not tried is a number that fills the memory.
SMALL = [value for value in JUNK if value != 10**30]


@functools.cache
def model_folder() -> Path:
    """A model of a few thousand weights with its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = scratch() / "model"
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "mask")}
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*special.values(), "good", "film"])}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **special)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=32, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def contents() -> dict[str, Any]:
    return {name: json.loads((model_folder() / name).read_text(encoding="utf-8")) for name in NAMES}


def check_model_folder(trial: tuple[str, Any, int]) -> None:
    kind, (at, value), place = trial
    folder = scratch() / "changed-model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model_folder(), folder)
    name = str(at[0])
    if kind == "change" and len(at) > 1:
        (folder / name).write_text(json.dumps(changed(contents(), at, value)[name]), encoding="utf-8")
    elif kind == "change":
        (folder / name).write_text(json.dumps(None if value is ... else value), encoding="utf-8")
    else:
        path = folder / (name if place % 2 else "model.safetensors")
        whole = path.read_bytes()
        cut = place % len(whole)
        path.write_bytes(whole[:cut] + (b"" if kind == "cut" else bytes([place % 256]) + whole[cut + 1 :]))
    loaded = only_ours(lambda: saywhy.Explainer(str(folder)))
    if not isinstance(loaded, SaywhyError):
        only_ours(lambda: loaded("good film", trust="none", method="occlusion"))


model_folders = st.tuples(
    st.sampled_from(["change", "change", "cut", "flip"]),
    st.deferred(lambda: st.tuples(st.sampled_from(places(contents())), st.sampled_from([*SMALL, ...]))),
    st.integers(0, 10**6),
)
