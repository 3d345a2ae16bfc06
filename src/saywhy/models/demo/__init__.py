"""The small sentiment model that ships with the package, for examples and tests that need no network."""

from pathlib import Path

NAME = "the model in the package"


def folder() -> Path:
    """The folder of the shipped model: a Hugging Face sequence classifier and its tokenizer."""
    return Path(__file__).parent / "model"
