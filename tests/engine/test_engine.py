"""The engine: packing, distinct rows, back-off, cost, many methods at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import saywhy
from conftest import TEXTS
from saywhy.core.errors import MethodError, ModelError
from saywhy.core.types import Encoding, Feature, Problem, Scores, Target, Values
from saywhy.engine.batching import BoundProblem, OutputCache, pack, pieces
from saywhy.engine.engine import Engine
from saywhy.methods import METHODS
from saywhy.models.callable import CallableModel
from saywhy.models.protocol import EncodingOptions


class Counting(CallableModel):
    """A black box that counts what it is sent, and runs out of memory above `room` rows."""

    def __init__(self, room: int = 10**9):
        super().__init__(self._answer, ["a", "b"])
        self.room, self.batches = room, []

    def _answer(self, texts):
        if len(texts) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 3 apples")
        self.batches.append(list(texts))
        return [[float(len(t)), float(t.count("a"))] for t in texts]


def bound(model, text, cache=None):
    encoding = model.encode({"text": text}, EncodingOptions())
    problem = Problem(encoding.features, (Target("a", (0,)), Target("b", (1,))))
    return BoundProblem(problem, encoding, lambda outputs: outputs, cache or OutputCache())


def test_pack_keeps_like_lengths_together_within_the_budget():
    sizes = [5, 40, 6, 39, 5, 100, 7]
    batches = pack(sizes, budget=80)
    assert sorted(i for batch in batches for i in batch) == list(range(7))
    assert all(len(batch) == 1 or max(sizes[i] for i in batch) * len(batch) <= 80 for batch in batches)
    assert [5] in batches
    assert sorted(sizes[i] for i in batches[1]) == [39, 40]
    assert all(len({sizes[i] for i in batch}) == 1 for batch in pack(sizes, 80, uniform=True))
    assert all(len(batch) <= 2 for batch in pack([1] * 9, 80, most=2))
    assert pack([], 80) == []


def test_pieces_cover_everything_once_in_bounded_portions():
    counts = [3, 5000, 0, 4096, 1]
    portions = list(pieces(counts))
    assert all(sum(end - start for _, start, end in piece) <= 4096 for piece in portions)
    covered = [(j, i) for piece in portions for j, start, end in piece for i in range(start, end)]
    assert covered == [(j, i) for j, count in enumerate(counts) for i in range(count)]


def test_no_row_is_sent_twice_whichever_method_or_text_asks():
    model = Counting()
    engine = Engine(model)
    texts = ["a bad cat", "a bad cat", "a bad hat a bad cat"]
    shared = OutputCache()
    jobs = [
        bound(model, texts[0], shared),
        bound(model, texts[0], shared),
        bound(model, texts[1]),
        bound(model, texts[2]),
    ]
    names = ["occlusion", "shapley_values", "shapley_values", "shapley_sampling"]
    scores = engine.run([(p, METHODS[name].function(p.problem)) for p, name in zip(jobs, names, strict=True)])
    sent = [row for batch in model.batches for row in batch]
    assert len(sent) == len(set(sent))
    assert torch.equal(scores[1].values, scores[2].values)
    again = Engine(model).run([(jobs[0], METHODS["shapley_values"].function(jobs[0].problem))])
    assert torch.equal(again[0].values, scores[1].values)
    assert len(sent) == sum(len(batch) for batch in model.batches)


def test_questions_of_many_texts_share_batches():
    model = Counting()
    jobs = [bound(model, text) for text in TEXTS]
    Engine(model).run([(p, METHODS["occlusion"].function(p.problem)) for p in jobs])
    assert len(model.batches) == 1


def test_out_of_memory_halves_the_batch_and_goes_on():
    small, large = Counting(room=3), Counting()
    text = "one two three four five six seven"
    few = Engine(small).run([(p := bound(small, text), METHODS["occlusion"].function(p.problem))])[0]
    all_at_once = Engine(large).run([(p := bound(large, text), METHODS["occlusion"].function(p.problem))])[0]
    assert torch.equal(few.values, all_at_once.values)
    assert max(len(batch) for batch in small.batches) <= 3
    tight = Counting(room=0)
    p = bound(tight, text)
    with pytest.raises(ModelError, match="single input"):
        Engine(tight).run([(p, METHODS["occlusion"].function(p.problem))])


def test_other_errors_are_not_taken_for_memory():
    model = Counting()
    model.function = lambda texts: (_ for _ in ()).throw(RuntimeError("size mismatch"))
    p = bound(model, "a b")
    with pytest.raises(RuntimeError, match="size mismatch"):
        Engine(model).run([(p, METHODS["occlusion"].function(p.problem))])


def test_out_of_memory_in_gradients(make):
    model, tokenizer = make()
    expected = saywhy.Explainer(model, tokenizer)(TEXTS, steps=8, target=0)
    largest = []

    def greedy(module, args, kwargs):
        if torch.is_grad_enabled():
            if len(kwargs["input_ids"]) > 5:
                raise torch.OutOfMemoryError("not enough apples")
            largest.append(len(kwargs["input_ids"]))

    model.register_forward_pre_hook(greedy, with_kwargs=True)
    found = saywhy.Explainer(model, tokenizer)(TEXTS, steps=8, target=0)
    assert 0 < max(largest) <= 5
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


def test_methods_are_closed_when_the_model_fails():
    closed = []

    def method(problem):
        try:
            yield Values(torch.ones(1, problem.n).bool())
        finally:
            closed.append(True)

    model = Counting(room=0)
    p = bound(model, "a b")
    with pytest.raises(ModelError):
        Engine(model).run([(p, method(p.problem)), (p, method(p.problem))])
    assert closed == [True, True]


def test_an_asking_method_that_misbehaves_is_told_so():
    model = Counting()
    p = bound(model, "a b")

    def wrong_question(problem):
        yield "what?"

    def wrong_shape(problem):
        yield Values(torch.ones(1, problem.n).bool())
        return Scores(torch.zeros(1, 99))

    with pytest.raises(MethodError, match="Values, Gradients, LabelAttentions or AttentionMaps, not str"):
        Engine(model).run([(p, wrong_question(p.problem))])
    with pytest.raises(MethodError, match=r"\(2, 2\).*\(1, 99\)"):
        Engine(model).run([(p, wrong_shape(p.problem))])


def test_k_targets_cost_one_forward_and_k_backwards(bert):
    explainer = saywhy.Explainer(*bert)
    one = explainer("I dislike you", method="input_x_gradient", target=1)
    three = explainer.each_target("I dislike you", method="input_x_gradient")
    assert [e.target.label for e in three] == list(explainer.model.labels)
    assert three[0].cost.backwards == 3
    assert three[0].cost.rows == one.cost.rows
    assert three[0].cost.forwards == one.cost.forwards
    np.testing.assert_allclose(three[1].scores, one.scores, atol=1e-6)


def test_each_target_equals_one_at_a_time(bert):
    explainer = saywhy.Explainer(*bert)
    for method in ("integrated_gradients", "kernel_shap", "occlusion", "saliency"):
        together = explainer.each_target(TEXTS[0], method=method)
        assert together.matrix.shape == (3, len(together[0].features))
        for i, e in enumerate(together):
            alone = explainer(TEXTS[0], method=method, target=i)
            np.testing.assert_allclose(e.scores, alone.scores, atol=2e-2 * np.abs(alone.scores).max())
            if method != "integrated_gradients":  # whose nodes follow all targets at once
                np.testing.assert_allclose(e.scores, alone.scores, atol=1e-5)


def test_cost_counts_what_the_model_was_sent(bert):
    model, tokenizer = bert
    calls = []
    handle = model.register_forward_hook(lambda m, a, k, out: calls.append(len(out.logits)), with_kwargs=True)
    explainer = saywhy.Explainer(model, tokenizer)
    calls.clear()
    e = explainer("I also dislike you", method="kernel_shap", budget=12)
    handle.remove()
    assert e.cost.rows == sum(calls) == 12 + 0  # value and base are among the coalitions
    assert e.cost.forwards == len(calls)
    assert e.cost.seconds > 0


def test_memory_does_not_grow_with_the_number_of_texts(bert):
    explainer = saywhy.Explainer(*bert)
    alive = []
    import gc

    texts = (f"text number {i} is good" for i in range(300))
    for i, _ in enumerate(explainer.stream(texts, method="shapley_sampling", permutations=2)):
        if i in (100, 290):
            gc.collect()
            alive.append(sum(type(o) in (Encoding, OutputCache, Feature) for o in gc.get_objects()))
    assert alive[1] <= alive[0] * 1.3


def test_a_stream_stops_when_the_caller_does(bert):
    explainer = saywhy.Explainer(*bert)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "good"

    stream = explainer.stream(endless(), method="occlusion")
    assert next(stream).words == ("good",)
    stream.close()
    assert len(taken) == 64


def test_a_one_pass_stream_takes_what_fills_batches_and_keeps_the_order(bert):
    explainer = saywhy.Explainer(*bert, batch_tokens=64)
    texts = [f"I {'really ' * (i * 7 % 5)}like it" for i in range(80)]
    found = list(explainer.stream(texts, method="input_x_gradient"))
    assert [e.text for e in found] == texts
    alone = explainer(texts[3], method="input_x_gradient", trust="none")
    np.testing.assert_allclose(found[3].scores, alone.scores, atol=1e-5)


def test_where_a_way_back_does_not_fit_it_is_not_kept(bert, monkeypatch):
    """Memory runs out on any batch of more than two rows with gradients: the explanations are the same."""
    texts = ["I love you", "a dull movie, not good at all", "good", "I like you", "not good"]
    whole = saywhy.Explainer(*bert)(texts, method="libra", trust="none")
    explainer = saywhy.Explainer(*bert)
    forward = explainer.model.forward

    def small(rows, points=None):
        if points is not None and len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(rows, points)

    monkeypatch.setattr(explainer.model, "forward", small)
    for a, b in zip(whole, explainer(texts, method="libra", trust="none"), strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


@pytest.mark.parametrize("method", ["input_x_gradient", "saliency", "libra", "attn_lrp"])
def test_a_method_of_one_pass_asks_for_one_forward(make, method, monkeypatch):
    """The forward that tells the prediction is the one whose way back is followed; room for it or not, numbers are the same."""
    model, tokenizer = make()
    explainer = saywhy.Explainer(model, tokenizer)
    texts = ["I love you", "a dull movie, not good at all", "good", "I like you and I also kinda dislike you"]
    sent = []
    forward = explainer.model.forward
    monkeypatch.setattr(
        explainer.model, "forward", lambda rows, points=None: sent.extend(rows) or forward(rows, points)
    )
    kept = explainer(texts, method=method, trust="none", progress=False)
    assert len(sent) <= sum(e.cost.rows for e in kept) <= 2 * len(texts)  # inputs of one length share a row
    assert all(e.cost.backward_rows == 1 for e in kept)
    monkeypatch.setattr("saywhy.engine.gradients.GradientAnswers.retain", lambda *given: None)
    asked = explainer(texts, method=method, trust="none", progress=False)
    for a, b in zip(kept, asked, strict=True):
        assert (a.target, a.prediction) == (b.target, b.prediction)
        assert a.value == pytest.approx(b.value, abs=1e-6)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
        assert b.cost.rows == a.cost.rows + 1


def test_running_out_of_memory_on_the_kept_way_is_no_end(bert, monkeypatch):
    texts = ["I love you", "a dull movie, not good at all", "good", "I like you", "not good"]
    whole = saywhy.Explainer(*bert)(texts, method="attn_lrp", trust="none")
    explainer, grad, failed = saywhy.Explainer(*bert), torch.autograd.grad, []

    def short(*given, **more):
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return grad(*given, **more)

    monkeypatch.setattr(torch.autograd, "grad", short)
    for a, b in zip(whole, explainer(texts, method="attn_lrp", trust="none"), strict=True):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    assert failed


def test_rows_with_parts_go_in_portions_too(bert):
    explainer = saywhy.Explainer(*bert)
    request = explainer.request(method="libra", absent="mask", overlong="window")
    line = explainer.pipeline(request)
    long = explainer.task.encode(explainer.model, "a long and dull story " * 12, request.encoding)
    short = explainer.task.encode(explainer.model, "good", request.encoding)
    assert isinstance(long.at(np.ones((1, len(long.features)), bool))[0], tuple)
    assert [len(portion) for portion in line.engine.gradients.portions([long] * 70 + [short])] == [1, 64, 6]
