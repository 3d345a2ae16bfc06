"""Rows and backgrounds in the forms in which people have them at hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import saywhy
from saywhy.core.errors import InputError, SaywhyError

pd = pytest.importorskip("pandas")
linear_model = pytest.importorskip("sklearn.linear_model")

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"age": RNG.integers(18, 80, 60), "pay": RNG.normal(size=60), "size": RNG.normal(size=60)})
TRUTH = FRAME.age / 10 - 2 * FRAME.pay + FRAME["size"] * 0.5
ROW = FRAME.iloc[20]


def scored(model: Any, row: Any, background: Any) -> Any:
    return saywhy.Explainer(model)(row, background=background, method="shapley_values", trust="none")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("form", ["series", "itertuples", "array", "list of one", "tuple", "tensor"])
def test_one_row_is_a_row_in_whatever_form(named: bool, form: str) -> None:
    model = linear_model.LinearRegression().fit(FRAME if named else FRAME.to_numpy(), TRUTH)
    values = ROW.to_numpy()
    row: Any = {
        "series": ROW if named else pd.Series(values, index=["x0", "x1", "x2"]),
        "itertuples": next(FRAME.iloc[[20]].itertuples(index=False)) if named else tuple(values),
        "array": values,
        "list of one": [values.tolist()],
        "tuple": tuple(values.tolist()),
        "tensor": torch.tensor(values),
    }[form]
    background = FRAME.iloc[:5] if named else FRAME.to_numpy()[:5]
    found = scored(model, row, background)
    e = found[0] if form == "list of one" else found
    right = model.coef_ * (values - FRAME.iloc[:5].mean().to_numpy())
    np.testing.assert_allclose(e.scores, right, atol=1e-6)


@pytest.mark.parametrize("form", ["mean", "mapping", "array", "rows"])
def test_what_stands_in_may_be_one_row_of_any_form(form: str) -> None:
    model = linear_model.LinearRegression().fit(FRAME, TRUTH)
    middle = FRAME.assign(truth=TRUTH).mean()  # with a column that the model does not read
    background: Any = {
        "mean": middle,
        "mapping": middle[["age", "pay", "size"]].to_dict(),
        "array": middle.to_numpy()[:3],
        "rows": [row for _, row in FRAME.iterrows()],
    }[form]
    right = model.coef_ * (ROW.to_numpy() - middle.to_numpy()[:3])
    np.testing.assert_allclose(scored(model, ROW, background).scores, right, atol=1e-6)


def test_a_list_of_as_many_rows_as_there_are_columns_is_of_rows() -> None:
    model = linear_model.LinearRegression().fit(FRAME, TRUTH)
    right = model.coef_ * (ROW.to_numpy() - FRAME.iloc[:3].mean().to_numpy())
    for background in (FRAME.iloc[:3].to_dict("records"), FRAME.iloc[:3].to_numpy().tolist()):
        np.testing.assert_allclose(scored(model, ROW, background).scores, right, atol=1e-6)


def test_the_columns_of_several_rows_are_no_row() -> None:
    model = linear_model.LinearRegression().fit(FRAME, TRUTH)
    columns = FRAME.iloc[:5].to_dict("list")
    for row, background in ((ROW, columns), (columns, FRAME.iloc[:5])):
        with pytest.raises(InputError, match=r"Every column holds a list of 5 \('age': .* a list of mappings"):
            scored(model, row, background)


def test_a_tuple_or_an_array_of_as_many_rows_as_there_are_columns_is_no_row() -> None:
    model = linear_model.LinearRegression().fit(FRAME, TRUTH)
    rows = FRAME.iloc[:3].to_dict("records")
    several = saywhy.Explainer(model)(np.array(rows, dtype=object), background=FRAME.iloc[5:10], method="occlusion")
    for e, row in zip(several, FRAME.to_numpy(), strict=False):
        np.testing.assert_allclose(e.scores, model.coef_ * (row - FRAME.iloc[5:10].mean().to_numpy()), atol=1e-6)
    with pytest.raises(InputError, match=r"a data frame, or a mapping of column to value, not tuple"):
        scored(model, tuple(rows), FRAME.iloc[:5])
    with pytest.raises(InputError, match=r"Every column holds a list of 3 .* a list of mappings"):
        scored(model, tuple(FRAME.to_numpy()[:3]), FRAME.iloc[:5])


@pytest.mark.parametrize("cell", [[1.0], np.ones(2)], ids=repr)
def test_a_cell_of_several_values_that_an_estimator_cannot_read_is_refused_in_words(cell: object) -> None:
    model = linear_model.LinearRegression().fit(FRAME, TRUTH)
    with pytest.raises(SaywhyError, match="LinearRegression"):
        scored(model, {**ROW, "pay": cell}, FRAME.iloc[:5])
