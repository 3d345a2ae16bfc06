"""The network: padding never matters, attention sums to 1, variables join, levels stand side by side."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch.nn import functional as F

from saywhy.classifier import Architecture, Network
from saywhy.classifier.batches import Order, padded
from saywhy.classifier.network import Block, LabelAttention, Part, Variables, attended, pooled, rotated, side_by_side
from saywhy.core.errors import ModelError, OptionError

ROWS = [[3, 4, 5], [6, 7, 8, 9, 10, 11, 3], [5]]


def network(**choices):
    torch.manual_seed(0)
    made = Network(Architecture(width=16, **choices), vocabulary=12, padding=0, classes=[3])
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn_like(p))  # blocks start as nothing: give them something to say
    return made.eval()


@pytest.mark.parametrize(("pooling", "layers"), list(itertools.product(["label", "mean", "first", "last"], [0, 2])))
def test_a_text_alone_and_in_any_batch_gives_the_same_logits(pooling, layers):
    made = network(pooling=pooling, layers=layers, kv_heads=2)
    together = made(*padded(ROWS, 0))
    wide = [torch.nn.functional.pad(t, (0, 5)) for t in padded(ROWS, 0)]
    torch.testing.assert_close(made(*wide), together, atol=1e-5, rtol=0)
    for b, row in enumerate(ROWS):
        torch.testing.assert_close(made(*padded([row], 0))[0], together[b], atol=1e-5, rtol=0)
    if layers:
        assert (made(*padded([ROWS[0][::-1]], 0))[0] - together[0]).abs().max() > 1e-3  # order is seen


def test_label_attention_sums_to_one_over_real_tokens():
    made = network(layers=1, label_heads=2)
    ids, mask = padded(ROWS, 0)
    logits, attention = made.attended(ids, mask)
    assert attention.shape == (3, 2, 3, 7)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 2, 3))
    assert not attention.masked_select(~mask[:, None, None].expand_as(attention)).any()
    torch.testing.assert_close(logits, made(ids, mask))


def test_label_attention_is_its_own_weights_times_the_values():
    torch.manual_seed(1)
    part = LabelAttention(8, classes=3, heads=2)
    x, mask = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    weights, values = part.weights(x, mask), part.value(x)
    expected = torch.cat([weights[:, h] @ values[..., 4 * h : 4 * h + 4] for h in range(2)], dim=-1)
    torch.testing.assert_close(part(x, mask), expected)


def test_rotary_positions_are_relative():
    q, k = torch.randn(2, 1, 1, 1, 8).unbind(0)
    turned_q, turned_k = rotated(q.expand(1, 1, 9, 8)), rotated(k.expand(1, 1, 9, 8))
    scores = (turned_q @ turned_k.transpose(-1, -2))[0, 0]
    torch.testing.assert_close(scores[2, 0], scores[7, 5])
    torch.testing.assert_close(scores.diagonal(), (q * k).sum().expand(9))


def test_a_fresh_block_changes_nothing():
    x = torch.randn(2, 4, 8)
    assert torch.equal(Block(8, 2)(x, torch.ones(2, 4)), x)


def test_pooling_by_hand():
    x = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[0, 1, 1], [1, 0, 0]])
    assert pooled(x, mask, "mean").tolist() == [[3, 4], [6, 7]]
    assert pooled(x, mask, "first").tolist() == [[2, 3], [6, 7]]
    assert pooled(x, mask, "last").tolist() == [[4, 5], [6, 7]]
    with pytest.raises(OptionError, match="'mean'"):
        pooled(x, mask, "maen")


@pytest.mark.parametrize(
    ("joining", "widths", "width"), [("sum", None, 4), ("average", 6, 10), ("concatenate", (2, 3), 9)]
)
def test_variables_join_the_text(joining, widths, width):
    torch.manual_seed(0)
    part = Variables([3, 5], text=4, joining=joining, widths=widths)
    text, codes = torch.randn(2, 4), torch.tensor([[0, 4], [2, -1]])
    a, b = (table.weight for table in part.tables)
    first = [a[0], a[2]]
    second = [b[4], torch.zeros_like(b[0])]
    joined = part.join(text, codes)
    assert joined.shape == (2, width) == (2, part.width)
    for row in range(2):
        x, y = first[row], second[row]
        if joining == "sum":
            expected = text[row] + x + y
        else:
            expected = torch.cat([text[row], (x + y) / 2] if joining == "average" else [text[row], x, y])
        torch.testing.assert_close(joined[row], expected)
    by_class = part.join(text[:, None].expand(-1, 3, -1), codes)
    torch.testing.assert_close(by_class, joined[:, None].expand(-1, 3, -1))


@pytest.mark.parametrize("joining", ["sum", "average", "concatenate"])
@pytest.mark.parametrize("pooling", ["label", "mean"])
def test_a_network_with_variables_and_levels(joining, pooling):
    torch.manual_seed(0)
    made = Network(
        Architecture(width=8, joining=joining, pooling=pooling), vocabulary=12, padding=0, classes=[2, 3], variables=[4]
    )
    ids, mask = padded(ROWS, 0)
    codes = torch.tensor([[0], [3], [-1]])
    logits = made(ids, mask, codes)
    assert logits.shape == (3, 5)
    torch.testing.assert_close(Part(made, 2, 5)(ids, mask, codes), logits[:, 2:])
    if pooling == "label":
        assert Part(made, 2, 5).attended(ids, mask, codes)[1].shape == (3, 4, 3, 7)
    with pytest.raises(ModelError, match="1 categorical"):
        made(ids, mask)


def test_settings_make_the_same_shape_again():
    made = network(layers=1, variable_widths=(2, 3))
    again = Network.from_settings(json.loads(json.dumps(made.settings())))
    assert again.architecture == made.architecture
    again.load_state_dict(made.state_dict())
    assert torch.equal(again.eval()(*padded(ROWS, 0)), made(*padded(ROWS, 0)))


def test_the_embedding_is_looked_up_with_exactly_the_ids():
    made, seen = network(layers=1), []
    made.embedding.register_forward_hook(lambda _, args, out: seen.append(args[0]))
    ids, mask = padded(ROWS, 0)
    made(ids, mask)
    assert len(seen) == 1
    assert torch.equal(seen[0], ids)


def test_blocks_hide_padding_by_hand():
    """One block on a padded batch against plain softmax attention on the real tokens alone."""
    torch.manual_seed(0)
    block = Block(8, 2, rotary=False)
    torch.nn.init.normal_(block.out.weight)
    x = torch.randn(1, 4, 8)
    h = F.rms_norm(x[:, :3], (8,), eps=1e-6)
    q, k, v = (w(h).view(1, 3, 2, 4).transpose(1, 2) for w in (block.query, block.key, block.value))
    q, k = (F.rms_norm(t, (4,), eps=1e-6) for t in (q, k))
    attended_to = ((q @ k.transpose(-1, -2) / 2).softmax(-1) @ v).transpose(1, 2).reshape(1, 3, 8)
    expected = x[:, :3] + block.out(attended_to)
    torch.testing.assert_close(block(x, torch.tensor([[1, 1, 1, 0]]))[:, :3], expected)


def test_refusals():
    for wrong, said in (
        ({"pooling": "max"}, "'mean'"),
        ({"joining": "add"}, "'sum'"),
        ({"width": 10, "label_heads": 4}, "multiple of 4"),
        ({"width": 12, "layers": 1, "heads": 4, "pooling": "mean"}, "even"),
        ({"width": 16, "layers": 1, "heads": 4, "kv_heads": 3}, "divisor"),
        ({"layers": -1}, "`layers` is at least 0"),
    ):
        with pytest.raises(OptionError, match=said):
            Architecture(**wrong)
    with pytest.raises(OptionError, match="one width"):
        Variables([2, 2], 4, "average", (1, 2))
    with pytest.raises(OptionError, match="1 widths"):
        Variables([2, 2], 4, "concatenate", (1,))
    with pytest.raises(ModelError, match="no label attention"):
        network(pooling="mean").attended(*padded(ROWS, 0))
    with pytest.raises(ModelError, match="Linear"):
        attended(torch.nn.Linear(1, 1), None, None, None)
    with pytest.raises(ModelError, match="dict"):
        side_by_side({})


def test_an_epoch_has_every_row_once_and_like_lengths_together():
    lengths = [1, 9, 2, 8, 3, 7, 4, 6, 5]
    order = Order(lengths, 4, seed=0)
    first, second = list(order), list(order)
    for epoch in (first, second):
        assert sorted(i for batch in epoch for i in batch) == list(range(9))
        assert len(epoch) == len(order) == 3
    assert len({str(list(order)) for _ in range(9)}) > 1
    assert first == list(Order(lengths, 4, seed=0))
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in first]
    assert max(spread) <= 3
    assert [lengths[i] for batch in Order(lengths, 4, None) for i in batch] == sorted(lengths)
