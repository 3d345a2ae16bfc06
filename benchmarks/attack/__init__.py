"""What breaks when everything is given wrongly: texts, options, files and commands.

Hypothesis makes the trials, from a fixed seed. A trial fails where anything but an error of saywhy's own, in one line, comes out;
where a file that loads cannot be drawn; or where a command prints a traceback. The tests run the same with a small budget.
"""

from __future__ import annotations

from .commands import check_command, commands
from .files import (
    card,
    changes,
    check_card,
    check_citations,
    check_explanation,
    check_manifest,
    check_model_folder,
    check_resume,
    check_shard,
    cited,
    explained,
    model_folders,
    resume_files,
    run,
    shards,
)
from .options import check_option, options
from .texts import check_text, texts
from .trials import Area, only_ours, tried

__all__ = ["AREAS", "Area", "only_ours", "tried"]

AREAS: dict[str, Area] = {
    "options": Area(options, check_option),
    "texts": Area(texts, check_text),
    "explanation files": Area(changes(explained), check_explanation),
    "citations": Area(changes(cited), check_citations),
    "classifier cards": Area(changes(card), check_card),
    "manifests": Area(changes(lambda: dict(run().manifest)), check_manifest),
    "shards": Area(shards, check_shard),
    "resume files": Area(resume_files, check_resume),
    "model folders": Area(model_folders, check_model_folder),
    "command": Area(commands, check_command),
}
