"""What tells two models of one name apart."""

from __future__ import annotations

import hashlib
from typing import Any


def weights(model: Any) -> str | None:
    """The digest of an adapter's model and vocabulary; None for one without weights, such as a function."""
    inner: Any = getattr(model, "model", None)
    return digest(inner, getattr(model, "tokenizer", None)) if hasattr(inner, "state_dict") else None


def digest(inner: Any, tokenizer: Any = None) -> str:
    """Of the vocabulary, and of every weight's name, shape and first and last 64 numbers."""
    known = sorted(tokenizer.get_vocab().items()) if hasattr(tokenizer, "get_vocab") else []
    found = hashlib.sha256(repr(known).encode("utf-8", "surrogatepass"))
    for name, tensor in inner.state_dict().items():
        flat = tensor.detach().reshape(-1)
        ends = [*flat[:64].tolist(), *flat[-64:].tolist()] if hasattr(flat, "tolist") else []
        found.update(f"{name} {tuple(tensor.shape)} {ends}".encode())
    return found.hexdigest()[:16]
