"""The garbage collector is paused while a command of ours starts, and a caller's stays as it was."""

from __future__ import annotations

import gc
import sys

import pytest

from saywhy.cli import app, streams
from saywhy.core import collector


@pytest.fixture(autouse=True)
def unfrozen():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_there_at_the_end_of_a_pause_is_not_collected_any_more():
    collector.pause()
    assert not gc.isenabled()
    collector.resume()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_without_a_pause_nothing_is_frozen():
    with streams.loading("a model"):
        assert gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_loading_ends_the_pause_also_when_it_fails():
    collector.pause()
    with pytest.raises(KeyError), streams.loading("a model"):
        raise KeyError
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("command", "paused"),
    [
        ("explain", True),
        ("--debug explain", True),
        ("methods", False),
        ("train table.csv --label explain", False),
        ("", False),
    ],
)
def test_only_commands_that_load_a_model_pause(command, paused, monkeypatch):
    """And whatever becomes of the command, the process collects again at its end."""
    seen = []
    monkeypatch.setattr(app, "app", lambda **settings: seen.append(gc.isenabled()))
    monkeypatch.setattr(sys, "argv", ["saywhy", *command.split()])
    app.main()
    assert seen == [not paused]
    assert gc.isenabled()


def test_every_command_that_pauses_is_one():
    assert {function.__name__ for function, *_ in app.COMMANDS} > set(app.LOADING)
