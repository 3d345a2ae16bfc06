"""Rows that look alike and are not, and files of which no row can be read."""

from __future__ import annotations

import os

import pytest

import saywhy
from saywhy.core.errors import FileError

pytest.importorskip("pyarrow")


def explained(source, folder):
    explainer = saywhy.Explainer(lambda texts: [[float(len(text)), 1.0] for text in texts], labels=["a", "b"])
    return saywhy.corpus.run(explainer, source, folder, method="occlusion", progress=False)


def test_a_text_is_not_taken_for_what_is_no_text(tmp_path):
    """Rows are told apart by a digest, and these texts read as what the digest of the rows beside them is made of."""
    rows = [{"text": '["NoneType", null]'}, {"text": None}, {"text": 5}, {"text": '["int", 5]'}]
    table = explained(rows, tmp_path / "out").to_arrow()
    assert [reason is None for reason in table["error"].to_pylist()] == [True, False, False, True]
    assert table["text"].to_pylist() == [rows[0]["text"], None, None, rows[3]["text"]]
    assert table["same_as"].null_count == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.parquet", b"", "no sound Parquet file"),
        ("cut.parquet", b"PAR1 and no more", "no sound Parquet file"),
        ("open.csv", b'text,label\n"good film,1\nbad film,2\n', "unexpected end of data"),
        ("list.jsonl", b"[1]\n", "not a JSON object"),
    ],
)
def test_a_file_without_one_sound_row_is_refused_with_what_is_wrong(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=f"no row that can be read: .*{said}"):
        explained(tmp_path / name, tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_there_and_cannot_be_read_twice(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(FileError, match="no regular file"):
        explained(tmp_path / "pipe.csv", tmp_path / "out")
