"""Evaluations of Ray Data: actors compute states with the portable kernels, and the states are added up.

>>> import lossd.ray
>>> answer = lossd.ray.evaluate(ray.data.read_parquet("sales/"), "huber", predictions="y_hat", targets="y", by="region")
"""

from __future__ import annotations

import pickle
from typing import Any, Dict, Optional, Sequence, Union

from ._client import Client
from ._evaluation import BLOCK, BadRows, Plan, State, summarize
from ._loss import Loss
from .spark import columns_of

__all__ = ["evaluate"]


def evaluate(
    dataset: Any,
    losses: Union[str, Loss, Sequence[Union[str, Loss]]],
    *,
    client: Optional[Client] = None,
    concurrency: Union[int, tuple] = (1, 8),
    **options: Any,
) -> Dict[str, Any]:
    """Mean losses of the rows of a dataset, with their uncertainty, as ``lossd evaluate`` computes them.

    :param dataset: a ``ray.data.Dataset``
    :param losses: names of the catalog, or ``Loss`` objects
    :param concurrency: how many actors compute, or the least and the most
    :param options: as for ``lossd.spark.evaluate``
    :raises ValueError: for options that do not fit together, or columns that are missing
    :raises BadRows: for rows without a loss, unless ``on_bad="skip"``
    """
    plan = Plan.make(losses, **options)
    schema = dataset.schema()
    names = list(schema.names) if schema is not None else []
    missing = [name for name in plan.needed() if name not in names]
    if missing:
        raise ValueError(f'there is no column "{missing[0]}"; there are {", ".join(names[:20]) or "none"}')
    needed = dataset.select_columns(plan.needed())
    sample = needed.take(16)
    if not sample:
        raise ValueError("there are no rows")
    plan.prepare({name: [row[name] for row in sample] for name in plan.needed()}, client)
    states = needed.map_batches(
        _Evaluator,
        fn_constructor_args=(plan,),
        batch_format="pyarrow",
        batch_size=4 * BLOCK,
        concurrency=concurrency,
    )
    total: Optional[State] = None
    try:
        for row in states.iter_rows():
            state = pickle.loads(row["state"])
            total = state if total is None else total.merge(state)
    except Exception as error:
        raise _own_error(error) from error
    assert total is not None
    return summarize(total)


class _Evaluator:
    """An actor."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def __call__(self, batch: Any) -> Dict[str, Any]:
        import numpy as np

        packed = np.empty(1, dtype=object)
        packed[0] = pickle.dumps(self._plan.evaluate([columns_of(batch)]))
        return {"state": packed}


def _own_error(error: BaseException) -> BaseException:
    """What an actor has raised, without what Ray has put around it."""
    seen: Optional[BaseException] = error
    while seen is not None:
        if isinstance(seen, (BadRows, ValueError)):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    from .spark import _own_error as from_text

    return from_text(error)
