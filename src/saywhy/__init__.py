"""saywhy says why a model predicted what it predicted: which words pushed the number up or down, and how far to believe it.

>>> import saywhy
>>> explainer = saywhy.Explainer()  # or a hub id, a folder, (model, tokenizer), a pipeline, a callable
>>> explainer("I love you, I like you, I also kinda dislike you").top(5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparison import Comparison, compare
    from .core.explanation import Explanation, Explanations
    from .explain.explainer import Explainer
    from .llm.citations import Citations, cite
    from .methods import METHODS
    from .metrics import METRICS
    from .models.remote.server import Server
    from .storage.explanations import load

__version__ = "0.1.0"

# name -> the module it lives in; importing saywhy imports none of them until it is used
_MODULES = {
    "Citations": "llm.citations",
    "Comparison": "comparison",
    "Explainer": "explain.explainer",
    "Explanation": "core.explanation",
    "Explanations": "core.explanation",
    "METHODS": "methods",
    "METRICS": "metrics",
    "Server": "models.remote.server",
    "cite": "llm.citations",
    "compare": "comparison",
    "load": "storage.explanations",
}
_ROOMS = (
    "classifier",
    "compat",
    "corpus",
    "extend",
    "llm",
)  # public modules: `import saywhy` is enough for `saywhy.corpus`
__all__ = [
    "METHODS",
    "METRICS",
    "Citations",
    "Comparison",
    "Explainer",
    "Explanation",
    "Explanations",
    "Server",
    "__version__",
    "cite",
    "compare",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES and name not in _ROOMS:
        raise AttributeError(f"module 'saywhy' has no attribute {name!r}; it has {', '.join((*__all__, *_ROOMS))}")
    from importlib import import_module

    module = import_module(f".{_MODULES.get(name, name)}", __name__)
    value: object = module if name in _ROOMS else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, *_ROOMS))
