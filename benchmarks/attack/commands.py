"""The command, with options, files and standard input of every kind."""

from __future__ import annotations

import functools
import io
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from hypothesis import strategies as st

from .files import language_model, run
from .trials import TEXT, scratch

words = st.one_of(st.sampled_from(["²", "-1", "0", "nan", "1e9", "", " ", "label", "\x1b[0m", "NEGATIVE", "[", "{x}", "a=b"]), st.text(max_size=8))  # fmt: skip
LINES: dict[str, tuple[list[str], list[str]]] = {  # command -> what it is given, and options with a value
    "explain": ([TEXT, "--trust", "none"], ["--target", "--against", "--unit", "--by", "--absent", "--method", "--option", "--top", "--format", "--pair", "--value", "--question", "--overlong", "--embedding", "--trust"]),
    "corpus": (["TABLE", "-o", "FOLDER", "--text", "text", "--limit", "2", "--trust", "none"], ["--target", "--method", "--keep", "--option", "--shard-rows", "--trust-share", "--workers", "--engine", "--by", "--unit"]),
    "report": (["CORPUS"], ["--label", "--by-column", "-o"]),
    "compare": (["TABLE", "--text", "text", "--limit", "1", "--methods", "occlusion", "--metrics", "completeness_gap"], ["--methods", "--metrics", "--removal", "--infill", "--resume", "--target", "--by", "--unit"]),
    "train": (["TABLE", "--text", "text", "--label", "text", "-o", "FOLDER"], ["--seed", "--epochs", "--layers", "--tokenizer", "--categorical", "--label"]),
    "prompt": (["{x} is", "--values", "x=y"], ["--values", "--baseline", "--target", "--model", "--unit"]),
    "cite": (["--question", "Who?", "--documents", "TABLE", "--model", "LM", "--answer", "TABLE"], ["--question", "--documents", "--answer", "--prompt", "--budget", "--confidence", "--max-new-tokens", "--model", "--key-file", "--cache", "-o"]),
    "image": (["PICTURE", "--model", "VIT", "--method", "occlusion"], ["--by", "--target", "--against", "--absent", "--view", "--option", "--trust", "--unit", "-o"]),
    "architectures": (["BertForSequenceClassification"], ["--seconds", "-o"]),
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


@functools.cache
def picture() -> Path:
    from PIL import Image

    path = scratch() / "picture.png"
    Image.new("RGB", (8, 8), (200, 40, 40)).save(path)
    return path


@functools.cache
def image_model() -> Path:
    """A folder with an image model of a few thousand weights."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = scratch() / "vit"
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, **sizes)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


def check_command(trial: tuple[str, list[tuple[str, str]], bytes | None]) -> None:
    name, pairs, piped = trial
    table = scratch() / "table.csv"
    table.write_text("text,label\na good film,1\nso so,0\n", encoding="utf-8")
    known = {"TABLE": str(table), "CORPUS": str(run().folder), "FOLDER": tempfile.mkdtemp(dir=scratch())}
    known |= {"PICTURE": str(picture()), "VIT": str(image_model()), "LM": str(language_model())}
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
