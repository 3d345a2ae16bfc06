"""What breaks when everything is given wrongly: texts, options, files and commands, with a long budget.

    python -m benchmarks.attack                   # every area, some 2,000 trials each
    python -m benchmarks.attack --trials 200 --only command

Hypothesis makes the trials, from a fixed seed. A trial fails where anything but an error of saywhy's own, in one line, comes out;
where a file that loads cannot be drawn; or where a command prints a traceback. The tests run the same with a small budget.
"""

from __future__ import annotations

import argparse
import atexit
import copy
import functools
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import saywhy
from saywhy import corpus
from saywhy.core.errors import FileError, SaywhyError
from saywhy.render import figure, html, terminal

TEXT = "a (good) film, not bad"
WRONG = [
    *(None, True, 3, -1, 0, 2.5, float("nan"), float("inf"), 10**30, "", "²", "word\x1b[0m", "x" * 500, b"bytes", [], [1]),
    *([None], (), (1, 2, 3), {}, {1: 2}, {"a": None}, set(), object(), int, np.array([]), np.array([1, 2]), np.int64(3)),
    *(np.float32("nan"), np.array(["a"]), Path("/nonexistent"), 1j, slice(1), range(3), "\ud800"),
]  # fmt: skip
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


class Area(NamedTuple):
    """What is tried, and what must hold of it: `check` raises AssertionError, or anything else that should not come out."""

    trials: st.SearchStrategy[Any]
    check: Callable[[Any], None]


def only_ours(call: Callable[[], Any]) -> Any:
    """What the call returns, or the error of saywhy's own that it raised, which is one line without control characters."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call()
    except SaywhyError as error:
        message = str(error)
        assert message.strip()
        assert message.isprintable(), message
        return error


@functools.cache
def counting() -> saywhy.Explainer:
    """A function of the texts: how long they are, and how many of their letters are an a."""
    return saywhy.Explainer(
        lambda texts: np.array([[len(t), t.count("a")] for t in texts], float), labels=["long", "a"]
    )


@functools.cache
def demo() -> saywhy.Explainer:
    """The small model in the package."""
    return saywhy.Explainer()


@functools.cache
def scratch() -> Path:
    """A folder for what is written, gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="saywhy-attack-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# ---- options ---------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[str, Any], Any]] = {
    "explain": lambda name, value: counting()(TEXT, **{"trust": "none", name: value}),
    "explain a model": lambda name, value: demo()(TEXT, **{"trust": "none", "steps": 2, name: value}),
    "each_target": lambda name, value: counting().each_target(TEXT, **{"trust": "none", name: value}),
    "stream": lambda name, value: list(counting().stream([TEXT], **{name: value})),
    "compare": lambda name, value: saywhy.compare(
        counting(), [TEXT], **{"methods": ["occlusion"], "metrics": ["completeness_gap"], name: value}
    ),
    "corpus": lambda name, value: corpus.run(
        counting(), [{"text": TEXT}], tempfile.mkdtemp(dir=scratch()), **{"trust": "none", name: value}
    ),
}
NAMES = {
    "explain": ("method", "target", "against", "unit", "by", "absent", "overlong", "embedding", "trust", "progress"),
    "compare": (
        "methods",
        "metrics",
        "removals",
        "target",
        "unit",
        "by",
        "absent",
        "scores",
        "rationales",
        "seed",
        "resume",
    ),
    "corpus": (
        "text",
        "keep",
        "trust_share",
        "strict",
        "limit",
        "shard_rows",
        "cache",
        "engine",
        "gpus",
        "by",
        "method",
    ),
}
NAMES |= {"explain a model": NAMES["explain"], "each_target": (*NAMES["explain"], "targets")}
NAMES |= {"stream": NAMES["explain"][:-1]}


def check_option(trial: tuple[str, str, Any]) -> None:
    call, name, value = trial
    only_ours(lambda: CALLS[call](name, value))


options = st.sampled_from(sorted(CALLS)).flatmap(
    lambda call: st.tuples(st.just(call), st.sampled_from(NAMES[call]), st.sampled_from(WRONG))
)

# ---- texts, drawn and read back --------------------------------------------------------------------------------------

SIGNS = "()[]{}\"'„“.,;:!?#@$%&*-–—…\x1b\x00\x07\u202e\u2028\u200d\ufe0f\r\n\t "
texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=SIGNS + "abc", max_size=60),
    st.lists(st.sampled_from(["good", "ไทย", "ありがとう", "👍🏽", "मैं", "not", "(", ")", "$5", "@bob", "#x", '"so"']), max_size=12).map(" ".join),
)  # fmt: skip


def sound(e: Any) -> None:
    """It can be drawn in every way, and comes back from its file with the same scores."""
    page, plain = html.page(e), terminal.plain(e)
    assert "<script" not in page
    assert not any(c in plain + repr(e) for c in "\x1b\x00\x07\x9b\u202e")
    if len(saywhy.Explanations((e,)) if isinstance(e, saywhy.Explanation) else e) in range(1, 25):
        figure.svg(e)


def check_text(text: str) -> None:
    for explainer in (counting(), demo()):
        e = only_ours(lambda explainer=explainer: explainer(text, trust="none", method="occlusion"))
        if isinstance(e, SaywhyError):
            continue
        assert np.isfinite(e.scores).all()
        sound(e)
        again = saywhy.load(e.save(scratch() / "text.json"))
        assert again.texts == e.texts
        assert np.array_equal(again.scores, e.scores)


# ---- files with one place changed ------------------------------------------------------------------------------------


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

# ---- the command -----------------------------------------------------------------------------------------------------

words = st.one_of(st.sampled_from(["²", "-1", "0", "nan", "1e9", "", " ", "label", "\x1b[0m", "NEGATIVE", "[", "{x}", "a=b"]), st.text(max_size=8))  # fmt: skip
LINES: dict[str, tuple[list[str], list[str]]] = {  # command -> what it is given, and options with a value
    "explain": ([TEXT, "--trust", "none"], ["--target", "--against", "--unit", "--by", "--absent", "--method", "--option", "--top", "--format", "--pair", "--value", "--question", "--overlong", "--embedding", "--trust"]),
    "corpus": (["TABLE", "-o", "FOLDER", "--text", "text", "--limit", "2", "--trust", "none"], ["--target", "--method", "--keep", "--option", "--shard-rows", "--trust-share", "--workers", "--engine", "--by", "--unit"]),
    "report": (["CORPUS"], ["--label", "--by-column", "-o"]),
    "compare": (["TABLE", "--text", "text", "--limit", "1", "--methods", "occlusion", "--metrics", "completeness_gap"], ["--methods", "--metrics", "--removal", "--infill", "--resume", "--target", "--by", "--unit"]),
    "train": (["TABLE", "--text", "text", "--label", "text", "-o", "FOLDER"], ["--seed", "--epochs", "--layers", "--tokenizer", "--categorical", "--label"]),
    "prompt": (["{x} is", "--values", "x=y"], ["--values", "--baseline", "--target", "--model", "--unit"]),
    "image": (["TABLE"], ["--model", "--by", "--target", "-o"]),
    "benchmark": ([], ["--method", "--methods", "--texts"]),
    "methods": ([], ["--nothing"]),
    "tasks": ([], ["--nothing"]),
    "metrics": ([], ["--nothing"]),
}  # fmt: skip
commands = st.sampled_from(sorted(LINES)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.lists(st.tuples(st.sampled_from(LINES[name][1]), words), min_size=1, max_size=2),
        st.one_of(st.just(None), st.binary(max_size=20)),
    )
)


def check_command(trial: tuple[str, list[tuple[str, str]], bytes | None]) -> None:
    name, pairs, piped = trial
    table = scratch() / "table.csv"
    table.write_text("text,label\na good film,1\nso so,0\n", encoding="utf-8")
    known = {"TABLE": str(table), "CORPUS": str(run().folder), "FOLDER": tempfile.mkdtemp(dir=scratch())}
    line = [known.get(word, word) for word in LINES[name][0]]
    status, out, err = command([name, *line, *(word for pair in pairs for word in pair)], piped)
    assert status in (0, 1, 2), status
    assert "Traceback" not in out + err, err
    assert "unforeseen" not in err, err
    assert "\x1b" not in out + err


def command(line: list[str], piped: bytes | None) -> tuple[int, str, str]:
    """The command within this process: (exit status, standard output, standard error). No standard input where None."""
    from saywhy.cli import app

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.argv, sys.stdin
    sys.argv = ["saywhy", *line]
    sys.stdin = None if piped is None else io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8")  # type: ignore[assignment]
    status = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            app.main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        sys.argv, sys.stdin = before
    return status, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err))  # type: ignore[attr-defined]


AREAS: dict[str, Area] = {
    "options": Area(options, check_option),
    "texts": Area(texts, check_text),
    "explanation files": Area(changes(explained), check_explanation),
    "classifier cards": Area(changes(card), check_card),
    "manifests": Area(changes(lambda: dict(run().manifest)), check_manifest),
    "shards": Area(shards, check_shard),
    "command": Area(commands, check_command),
}


def tried(area: Area, trials: int) -> tuple[int, list[tuple[Any, BaseException]]]:
    """How many trials were made, and those that failed with what came out."""
    failed: list[tuple[Any, BaseException]] = []
    count = 0

    @settings(max_examples=trials, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(area.trials)
    def every(trial: Any) -> None:
        nonlocal count
        count += 1
        try:
            area.check(trial)
        except Exception as error:
            failed.append((trial, error))

    before = Path.cwd()
    os.chdir(scratch())  # a wrong option may be a fine name of a file
    try:
        every()
    finally:
        os.chdir(before)
    return count, failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=list(AREAS), metavar="AREA", help="this one; may be repeated"
    )
    parser.add_argument("--trials", type=int, default=2_000, help="the most of each area")
    parser.add_argument("--shown", type=int, default=5, help="how many failures of each area are shown")
    chosen = parser.parse_args()
    bad = 0
    print("| area | trials | failed |\n| --- | --- | --- |", flush=True)
    for name in chosen.only or AREAS:
        count, failed = tried(AREAS[name], chosen.trials)
        bad += len(failed)
        print(f"| {name} | {count:,} | {len(failed):,} |", flush=True)
        for trial, error in failed[: chosen.shown]:
            print(f"  {trial!r:.160}: {type(error).__name__}: {error!s:.240}", file=sys.stderr, flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
