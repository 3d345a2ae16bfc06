"""The command, as a process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

import saywhy
import saywhy.cli.app
from conftest import headed
from saywhy.methods import METHODS
from saywhy.tasks import TASKS

TEXT = "The movie was absolutely fantastic and inspiring"


def saywhy_(*args: str, given: str | bytes | None = None, **env: str) -> subprocess.CompletedProcess[bytes]:
    data = given.encode() if isinstance(given, str) else given
    environment = {**{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}, **env}
    command = [sys.executable, "-m", "saywhy", *args]
    stdin = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    return subprocess.run(command, capture_output=True, env=environment, check=False, timeout=120, **stdin)


@pytest.fixture
def here(monkeypatch):
    """The command within this process, which has torch loaded: the same function that the script calls."""

    def run(*args: str, given: str | bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        data = given.encode() if isinstance(given, str) else given or b""
        monkeypatch.setattr(sys, "argv", ["saywhy", *args])
        streams = {"stdin": io.BytesIO(data), "stdout": io.BytesIO(), "stderr": io.BytesIO()}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding="utf-8", write_through=True))
        with pytest.raises(SystemExit) as ended:
            saywhy.cli.app.main()
        out, err = streams["stdout"].getvalue(), streams["stderr"].getvalue()
        return subprocess.CompletedProcess(args, int(ended.value.code or 0), out, err)

    return run


def test_version_and_help_without_torch():
    done = saywhy_("--version")
    assert (done.returncode, done.stdout.decode().strip(), done.stderr) == (0, f"saywhy {saywhy.__version__}", b"")
    code = "import sys\nimport saywhy.cli.app as cli\n"
    code += "sys.argv = ['saywhy', 'explain', '--help']\ntry: cli.main()\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Examples" in done.stdout
    assert b"--absent" in done.stdout


def test_a_sentence_is_explained():
    done = saywhy_("explain", TEXT)
    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "POSITIVE" in said
    assert "fantastic" in said
    assert "\x1b" not in said
    assert done.stderr == b""


def test_standard_input_and_json_stay_clean():
    done = saywhy_("explain", "--format", "json", "--method", "occlusion", "--target", "NEGATIVE", given=TEXT + "\n")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["explanations"][0]["texts"] == {"text": TEXT}
    assert data["explanations"][0]["target"]["label"] == "NEGATIVE"
    assert done.stderr == b""


@pytest.mark.parametrize("ending", ["html", "svg", "png", "json", "txt", "parquet"])
def test_output_files(here, ending, tmp_path):
    path = tmp_path / f"why.{ending}"
    done = here("explain", TEXT, "--method", "input_x_gradient", "-o", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    assert str(path) in done.stderr.decode()
    assert path.stat().st_size > 200


def test_all_labels_and_options(here):
    done = here("explain", TEXT, "--all-labels", "--method", "kernel_shap", "--option", "budget=40", "--format", "json")
    data = json.loads(done.stdout)["explanations"]
    assert [e["target"]["label"] for e in data] == ["NEGATIVE", "POSITIVE"]
    assert data[0]["options"]["budget"] == 40


def test_methods_lists_the_whole_table(here):
    done = here("methods")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout.decode() for name in METHODS)


@pytest.mark.parametrize(
    ("args", "given", "said"),
    [
        (["explain", "good", "--method", "occlusionn"], None, "Did you mean 'occlusion'"),
        (["explain", "good", "--target", "POSITIV"], None, "Did you mean 'POSITIVE'"),
        (["explain", ""], None, "empty or blank"),
        (["explain"], "   ", "empty or blank"),
        (["explain"], b"\xff\xfe", "UTF-8"),
        (["explain", "good", "-o", "why.pdf"], None, ".html"),
        (["explain", "good", "-o", "nowhere/why.html"], None, "does not exist"),
        (["explain", "good", "--option", "steps"], None, "NAME=VALUE"),
        (["explain", "good", "--option", "by=token"], None, "write --by instead"),
        (["explain", "good", "--option", "given=1"], None, "given is no option of a method"),
        (["explain", "good", "--option", "progress=1"], None, "progress is no option of a method"),
        (["corpus", "x.csv", "-o", "y", "--text", "t", "--option", "shard_rows=1"], None, "write --shard-rows instead"),
        (["explain", "good", "--by", "letter"], None, "word"),
        (["explain", "good", "--nonsense"], None, "No such option"),
        (["explain", "good", "--all-labels", "--target", "0"], None, "--all"),
        (["explain", "good", "--question", "why"], None, "belong together"),
        (["explain", "good", "--value", "source"], None, "COLUMN=VALUE"),
        (["explain", "good", "--task", "fill-masks"], None, "Did you mean 'fill-mask'"),
    ],
)
def test_bad_use_exits_2_with_one_message_on_stderr(here, args, given, said):
    done = here(*args, given=given)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.decode().replace("│", " ").split())
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_failure_exits_1():
    for name, said in (("./no/such/folder", "There is no folder"), ("nobody/nothing", "Could not load")):
        done = saywhy_("explain", "good", "--model", name, HF_HUB_OFFLINE="1")
        assert done.returncode == 1
        assert said in done.stderr.decode()
        assert b"Traceback" not in done.stderr


def test_colour_only_where_it_is_wanted():
    forced = saywhy_("explain", TEXT, FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[" in forced.stdout
    plain = saywhy_("explain", TEXT, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[3" not in plain.stdout
    assert b"\x1b[4" not in plain.stdout


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny models in folders, by the head they have."""
    where = tmp_path_factory.mktemp("models")
    for head in ("labels", "tokens", "span"):
        for part in headed("bert", head):
            part.save_pretrained(where / head)
    return where


@pytest.mark.parametrize(
    ("head", "args", "said"),
    [
        ("labels", ["a lovely match", "--labels", "love, sports", "--target", "sports"], "zero-shot-classification"),
        ("tokens", ["you , you", "--all", "--unit", "prob"], "task=token-classification"),
        ("span", ["--question", "what is it ?", "--context", "-"], "answer: "),
    ],
)
def test_other_tasks(here, folders, head, args, said):
    done = here("explain", *args, "--model", str(folders / head), "--method", "occlusion", given="it is a movie .\n")
    assert done.returncode == 0, done.stderr
    assert said in done.stdout.decode()


def test_a_pair_and_tasks(here):
    done = here("explain", "a good film", "--pair", "a bad film", "--method", "occlusion", "--format", "json")
    assert list(json.loads(done.stdout)["explanations"][0]["texts"]) == ["first", "second"]
    listed = here("tasks").stdout.decode()
    assert all(name in listed for name in TASKS)


def test_the_help_page_puts_explaining_first_and_lists_last(here):
    said = here("--help").stdout.decode()
    listed = [line.split() for line in said.split("Commands:")[1].split("Examples:")[0].splitlines() if line.strip()]
    assert [words[0] for words in listed[:5]] == ["explain", "prompt", "cite", "image", "serve"]
    assert {words[0] for words in listed[-4:]} == {"tasks", "methods", "metrics", "architectures"}
    assert not [words for words in listed if words[-1].endswith("...")], "a summary is cut off"


@pytest.mark.parametrize("command", [(), ("explain",), ("prompt",), ("image",), ("corpus",), ("report",), ("compare",)])
def test_each_example_has_a_paragraph_of_its_own(here, command):
    said = here(*command, "--help").stdout.decode().split("Examples:")[1]
    assert "\\" not in said
    for paragraph in said.strip().split("\n\n"):
        assert " ".join(paragraph.split()).count("saywhy ") == 1, paragraph


def test_help_names_all_that_can_be_given(here):
    said = {command: " ".join(here(command, "--help").stdout.decode().split()) for command in ("explain", "image")}
    assert "drop or hide" in said["explain"]
    assert "patch, pixel, channel" in said["image"]


@pytest.mark.parametrize("args", [("methods",), ("metrics",), ("tasks",), ("explain", TEXT, "--method", "occlusion")])
def test_lines_in_a_pipe_end_without_spaces(here, args):
    said = here(*args).stdout.decode().splitlines()
    assert not [line for line in said if line != line.rstrip()]


def test_a_method_is_one_line_in_a_pipe(here):
    said = here("methods").stdout.decode()
    for method in METHODS.values():
        assert any(line.split()[:1] == [method.name] and method.summary in line for line in said.splitlines())


def test_a_reader_that_leaves_is_no_failure_to_tell(here, monkeypatch):
    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(saywhy.cli.app, "app", gone)
    done = here("methods")
    assert (done.returncode, done.stderr) == (1, b"")
