"""The benchmarks' command and their book. The measurements themselves are not run here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import book

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks"]


def command(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_command_lists_every_script():
    done = command("--list")
    assert done.returncode == 0, done.stderr
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - set(book.NOT_MEASURING)
    assert {line.split()[0] for line in done.stdout.splitlines()} == names
    assert command("--only", "nothing_such").returncode == 2


@pytest.mark.parametrize("name", book.scripts())
def test_a_script_takes_what_the_command_gives_it(name):
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    assert "arguments(" in source or ('"--cache"' in source and '"--quick"' in source)
    assert '__name__ == "__main__"' in source


@pytest.mark.parametrize("name", book.scripts())
def test_a_page_says_on_what_it_was_measured(name):
    page = ROOT / "docs" / "benchmarks" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    for what in ("date 20", "processor ", "python 3.", "torch ", "transformers "):
        assert what in text, f"{page}: {what}"


def test_each_script_runs_in_a_process_of_its_own_and_the_others_go_on(tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in ("__main__.py", "book.py", "__init__.py"):
        (folder / name).write_text((ROOT / "benchmarks" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "broken.py").write_text('"""Breaks."""\nraise SystemExit(3)\n', encoding="utf-8")
    (folder / "fine.py").write_text('"""Is it fine?"""\nimport sys\nprint("fine", sys.argv[1:])\n', encoding="utf-8")
    done = command("--quick", "--cache", "kept", cwd=tmp_path)
    assert done.returncode == 1
    assert "did not run: broken" in done.stderr
    assert "fine ['--cache', 'kept', '--quick']" in done.stdout
    assert not (tmp_path / "docs").exists()
    (tmp_path / "docs" / "benchmarks").mkdir(parents=True)
    (tmp_path / "docs" / "benchmarks" / "fine.md").write_text("# Fine\n\n## How?\n\nSo: [x](y.md).\n", encoding="utf-8")
    (tmp_path / "docs" / "benchmarks" / "fine.json").write_text('{"machine": {"date": "2026-01-02"}}', encoding="utf-8")
    done = command("--book", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "| [Fine](benchmarks/fine.md) | Is it fine? | 2026-01-02 |" in told
    assert "### How?\n\nSo: [x](benchmarks/y.md)." in told
    assert "Not measured yet: broken." in told
