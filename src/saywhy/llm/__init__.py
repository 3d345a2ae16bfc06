"""Prompts for language models: templates with slots, conversations, and probes for bias.

>>> from saywhy.llm import Template
>>> t = Template("{name} from {country} applied. They", values={"name": "Ada", "country": "Togo"}, baselines={...})
>>> saywhy.Explainer(model, tokenizer)(t, target=" were rejected")
"""

from __future__ import annotations

from .chat import Chat
from .context import in_context
from .probe import Probe, probe
from .prompted import Prompted
from .template import Template

__all__ = ["Chat", "Probe", "Prompted", "Template", "in_context", "probe"]
