"""Citations: which sentence of which document stands behind each sentence of an answer.

>>> found = saywhy.cite(explainer, "Who wrote it?", ["It was written by Ada. It is long."], answer="Ada wrote it.")
>>> found[0].sources[0].text
'It was written by Ada.'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import real_number, text_or_none, whole_number
from ...core.errors import InputError, ModelError, OptionError
from ...core.features import Span
from ...core.progress import Tick
from ...core.progress import progress as shown_progress
from ...core.types import Encoding, Floats, Ints
from ...engine.engine import Engine
from ...models.causal.prompts import Prompt
from ...models.protocol import EncodingOptions, Model
from .documents import Document, Splitter, documents_of, passed_over, read_documents
from .grounding import Grounding, grounding_of
from .result import ENDINGS, Citations, Source, Statement, load_citations
from .search import CANDIDATES, CHECKS, FEW, GUIDING, POINTED, RUNS, Search
from .statements import Spoken, spoken, token_ends
from .verdicts import Check, checked, shortlisted, sources_of

if TYPE_CHECKING:
    from ...explain.explainer import Explainer

__all__ = [
    "ENDINGS",
    "Citations",
    "Document",
    "Source",
    "Statement",
    "cite",
    "load_citations",
    "passed_over",
    "read_documents",
]


@dataclass(frozen=True)
class CitationCost:
    """What citing an answer will take, told before the first forward that asks for sources."""

    sentences: int  # of all documents
    statements: int
    tokens: int  # of the prompt with all documents and the answer
    fewest: int  # forwards, where the documents matter and the sources are settled at once; 2 where they do not matter
    most: int  # forwards, where they are not

    def __str__(self) -> str:
        return (
            f"{self.statements} statements over {self.sentences} sentences: {self.fewest:,} to {self.most:,} forwards of up to "
            f"{self.tokens:,} tokens"
        )


def cite(
    explainer: Explainer,
    question: str | Sequence[Mapping[str, Any]],
    documents: Sequence[str | Mapping[str, Any] | Document],
    answer: str | None = None,
    *,
    prompt: str | None = None,
    splitter: Splitter | None = None,
    budget: int | None = None,
    confidence: float = 0.95,
    max_new_tokens: int = 128,
    announce: Callable[[CitationCost], None] | None = None,
    progress: bool | None = None,
) -> Citations:
    """Which sentences of the documents make the model say each sentence of the answer.

    Every sentence of the answer is a target, all from the same forwards. A sentence of a document is taken out by leaving its
    tokens out of the prompt; headers, the question and all other tokens stay as they are.

    Parameters
    ----------
    explainer
        Of a language model, local or served.
    question
        A text, or a conversation [{"role": …, "content": …}, …] that ends in the user's question.
    documents
        Texts, or mappings with "text" and, if you like, "id" and "title".
    answer
        What was answered; None lets the model write it, greedily.
    prompt
        The wording around both, with {documents} and {question} once each. A model with a chat template is asked in a
        conversation whose last message this is.
    splitter
        A function of a text that returns its sentences, or their spans; by default the rules of `by="sentence"`.
    budget
        The most forwards; by default as many as it takes to settle the sources, which `announce` bounds.
    confidence
        How sure it must be whether a sentence counts before no more is asked.
    max_new_tokens
        The longest answer that the model writes, in tokens.
    announce
        Called with a CitationCost before anything is asked about sources.
    progress
        Whether a progress line is shown; by default for long work on a terminal.

    Returns
    -------
    Citations
        A sequence of statements with their verdicts and sources. Scores are Shapley values in nats: how far a sentence raises the
        log-probability of the statement.

    Raises
    ------
    InputError, OptionError
        Before the first forward, for documents, questions and settings that are none, and for a budget that is too small.
    ModelError
        For a model that is no language model.
    """
    if announce is not None and not callable(announce):
        raise OptionError(f"`announce` is a function of a CitationCost, not {announce!r:.60}.")

    @contextmanager
    def begin(cost: CitationCost) -> Iterator[Tick]:
        if announce is not None:
            announce(cost)
        with shown_progress(cost.most, progress) as tick:
            yield None if tick is None else lambda _, rows: tick(rows, rows)

    return citations_of(
        explainer,
        question,
        documents,
        answer,
        begin,
        prompt=prompt,
        splitter=splitter,
        budget=budget,
        confidence=confidence,
        max_new_tokens=max_new_tokens,
    )


def citations_of(
    explainer: Explainer,
    question: str | Sequence[Mapping[str, Any]],
    documents: Sequence[str | Mapping[str, Any] | Document],
    answer: str | None,
    begin: Callable[[CitationCost], AbstractContextManager[Tick]],
    *,
    prompt: str | None = None,
    splitter: Splitter | None = None,
    budget: int | None = None,
    confidence: float = 0.95,
    max_new_tokens: int = 128,
) -> Citations:
    """What `cite` answers. Within `begin(cost)`, what it gives is told (inputs, forwards) after each batch, and may raise."""
    model = _language_model(explainer)
    max_new_tokens = whole_number("max_new_tokens", max_new_tokens, least=1)
    sure = _quantile(real_number("confidence", confidence, 0.5, 0.9999))
    grounding = grounding_of(question, documents_of(documents), splitter, prompt)
    answer = _answer(answer)
    with model.frozen():
        if answer is None:
            goal: Any = model.generate(Prompt(grounding), max_new_tokens)
        else:
            goal = _spaced(model, grounding, answer)
        encoding, text, said = _encoded(model, grounding, goal)
        cost = _cost(model, encoding, said, len(grounding.documents), budget)
        with begin(cost) as tick:
            engine = Engine(model, explainer.batch_tokens, tick)
            search = Search(engine, encoding, said, None if budget is None else cost.most, sure)
            statements, notes = _found(search, grounding)
    known = grounding.documents, statements
    return Citations(grounding.question, text, *known, model.name, answer is None, search.cache.cost, notes)


def _found(search: Search, grounding: Grounding) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """The statements with their sources, and notes."""
    found = search.both_ends()
    whole, base = found.whole, found.base
    ends = np.cumsum([0, *(len(each) for each in grounding.sentences)])
    groups = [np.arange(a, b) for a, b in pairwise(ends)]
    candidates, lost = search.candidates(groups, whole, base)
    k, m = len(search.statements), len(candidates)
    scores, stderr, settled = np.zeros((k, m)), np.zeros((k, m)), True
    if m:
        scores, stderr, settled = search.sentences(candidates, lost, whole, base)
    needed = np.zeros((k, m)) if lost is None else lost.T
    lists = [shortlisted(scores[i], stderr[i], needed[i], float(whole[i] - base[i])) for i in range(k)]
    chosen = sources_of(search, candidates, lists, whole, base)
    checks = checked(search, candidates, chosen, scores, found)
    where = [
        (document, span)
        for document, each in zip(grounding.documents, grounding.sentences, strict=True)
        for span in each
    ]
    told = tuple(
        _statement(statement, check, candidates, scores[i], stderr[i], where, settled)
        for i, (statement, check) in enumerate(zip(search.statements, checks, strict=True))
    )
    notes = () if settled else ("the budget was too small to settle which sentences count: give a larger one",)
    return told, (*search.encoding.notes, *notes)


def _statement(
    said: Spoken,
    check: Check,
    candidates: Ints,
    scores: Floats,
    stderr: Floats,
    where: Sequence[tuple[Document, Span]],
    settled: bool,
) -> Statement:
    at = {int(sentence): place for place, sentence in enumerate(candidates)}
    sources = []
    for sentence in check.sources:
        document, span = where[sentence]
        place = at[sentence]
        sources.append(
            Source(document.id, span, document.text[slice(*span)], float(scores[place]), float(stderr[place]))
        )
    values = (check.whole, check.base, check.without, check.alone)
    told = (*values, check.raised, check.against, check.tokens)
    return Statement(said.text, said.span, check.verdict, tuple(sources), *told, settled)


def _language_model(explainer: object) -> Model[Any]:
    if not hasattr(explainer, "pipeline") or not hasattr(explainer, "model"):
        raise OptionError(
            f"`explainer` is an Explainer of a language model, for example Explainer(model, tokenizer), not {explainer!r:.60}."
        )
    model: Model[Any] = explainer.model
    if model.head != "next":
        raise OptionError(f"{model.name} is no language model: citations ask for the probability of an answer.")
    return model


def _answer(answer: object) -> str | None:
    known = text_or_none("answer", answer, "Ada wrote it.")
    if known is not None and not known.strip():
        raise InputError("The answer is blank: give a text, or leave it out to let the model write it.")
    return known


def _spaced(model: Model[Any], grounding: Grounding, answer: str) -> str:
    """The answer as it follows the prompt: after a word or a colon a space belongs to it, where the prompt has none."""
    before = grounding.rendered(model.text_tokenizer).text[-1:]
    return answer if before.isspace() or before in (">", "]", "") or answer[:1].isspace() else f" {answer}"


def _encoded(model: Model[Any], grounding: Grounding, goal: str) -> tuple[Encoding, str, list[Spoken]]:
    """The prompt with its sentences as features; the answer's text and its sentences."""
    within = grounding.rendered(model.text_tokenizer).within
    options = EncodingOptions(by={"prompt": list(within or ())}, absent="drop")
    encoding: Encoding = model.encode_prompt(Prompt(grounding, (goal,)), options)
    ids = [int(i) for i in encoding.whole.goal]
    if not ids:
        raise ModelError(
            f"{model.name} tells the probability of a whole answer alone, and citations ask for that of every token: give the "
            "server's tokenizer, saywhy.Server(address, tokenizer=…)."
        )
    text, ends = token_ends(model.text_tokenizer, ids, goal if isinstance(goal, str) else None)
    lead = len(text) - len(text.lstrip())
    said = spoken(text.strip(), [max(0, end - lead) for end in ends], grounding.splitter)
    return encoding, text.strip(), said


def _cost(
    model: Model[Any], encoding: Encoding, said: Sequence[Spoken], documents: int, budget: object
) -> CitationCost:
    """What it may take. Raises OptionError for a budget that is no number, or too small for one round."""
    n, k = len(encoding.features), len(said)
    looked, rounds = min(n, CANDIDATES), 0
    if n > FEW:  # a round asks twice of every group, and where all of them matter, there are ever more
        groups = [documents if documents > 1 else min(n, RUNS)]
        while groups[-1] < n:
            groups.append(min(n, RUNS * groups[-1]))
        rounds = (
            sum(5 * each + 1 for each in groups) + 1
        )  # with the check of what is left out, and once more where it failed
    guided = model.differentiable and n > FEW
    first = min(3 + POINTED[0], n) if guided else 2 * min(documents if documents > 1 else RUNS, n)
    fewest = 2 + 3 * k + (2**n if n <= FEW else first)
    most = 2 + CHECKS * k + min(2**looked, 4 * looked + 32) + 2 * looked + 1 + rounds + GUIDING * guided
    [tokens] = model.sizes([encoding.whole])
    if budget is not None:
        most = whole_number("budget", budget, least=2 + CHECKS * k + min(2 * n + 2, 2 * RUNS + 4))
    return CitationCost(n, k, tokens, min(fewest, most), most)


def _quantile(confidence: float) -> float:
    """How many standard errors away something is, at this two-sided confidence."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)
