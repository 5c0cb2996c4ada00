"""Evaluations inside Spark: every executor computes states with the portable kernels, and the states are added up.

>>> import lossd.spark
>>> answer = lossd.spark.evaluate(df, "huber", predictions="y_hat", targets="y", by="region")
>>> answer["losses"][0]["overall"]["mean"]
"""

from __future__ import annotations

import pickle
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence, Union

from ._client import Client
from ._evaluation import Plan, State, summarize
from ._loss import Loss

__all__ = ["evaluate"]

#: States that one task adds up.
_FAN_IN = 64


def evaluate(
    df: Any,
    losses: Union[str, Loss, Sequence[Union[str, Loss]]],
    *,
    client: Optional[Client] = None,
    **options: Any,
) -> Dict[str, Any]:
    """Mean losses of the rows of a DataFrame, with their uncertainty, as ``lossd evaluate`` computes them.

    Only the columns that are needed are read, and only states travel: a few hundred bytes for each slice. The kernels are
    fetched here, once; executors need this package with its extra ``local``, and no service.

    :param df: a ``pyspark.sql.DataFrame``
    :param losses: names of the catalog, or ``Loss`` objects
    :param options: ``predictions``, ``targets``, ``columns``, ``by``, ``weight``, ``compare``, ``cluster``, ``bootstrap``,
        ``seed``, ``on_bad``, ``quantiles`` (shares, as 0.5), ``worst`` (how many rows with the largest losses; told by the
        columns that are read); see docs/evaluation.md
    :raises ValueError: for options that do not fit together, or columns that are missing
    :raises BadRows: for rows without a loss, unless ``on_bad="skip"``
    """
    plan = Plan.make(losses, **options)
    missing = [name for name in plan.needed() if name not in df.columns]
    if missing:
        raise ValueError(f'there is no column "{missing[0]}"; there are {", ".join(df.columns[:20])}')
    # A column may have dots in its name.
    needed = df.select([f"`{name.replace('`', '``')}`" for name in plan.needed()])
    sample = needed.limit(16).collect()
    if not sample:
        raise ValueError("there are no rows")
    plan.prepare({name: [row[name] for row in sample] for name in plan.needed()}, client)
    states = needed.mapInArrow(_Evaluating(plan), "state binary")
    try:
        rows = _reduced(states).collect()
    except Exception as error:
        raise _own_error(error) from error
    return summarize(_merged(bytes(row.state) for row in rows))


class _Evaluating:
    """Batches of Arrow -> one row with a state, for each partition."""

    def __init__(self, plan: Plan):
        self._plan = plan

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        state = self._plan.evaluate(columns_of(batch) for batch in batches)
        yield pa.RecordBatch.from_arrays([pa.array([pickle.dumps(state)], pa.binary())], ["state"])


class _Merging:
    """Rows with states -> one row with their sum, for each partition."""

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        merged = _merged(own for batch in batches for own in batch.column(0).to_pylist())
        if merged is not None:
            yield pa.RecordBatch.from_arrays([pa.array([pickle.dumps(merged)], pa.binary())], ["state"])


def _reduced(states: Any) -> Any:
    """Adds states up on the executors, so that the driver gets a few of them."""
    partitions = states.rdd.getNumPartitions()
    while partitions > _FAN_IN:
        partitions = -(-partitions // _FAN_IN)
        states = states.coalesce(partitions).mapInArrow(_Merging(), "state binary") if partitions > 1 else states
    return states


def _merged(states: Iterable[bytes]) -> Any:
    total: Optional[State] = None
    for packed in states:
        state = pickle.loads(packed)
        total = state if total is None else total.merge(state)
    return total


def columns_of(batch: Any) -> Dict[str, Any]:
    """The columns of a record batch or a table of Arrow, without a copy where that is possible."""
    import pyarrow as pa

    found: Dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns):
        is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
        is_time = pa.types.is_temporal(column.type)
        if is_list:
            found[name] = column.to_pylist()
        elif is_time:
            found[name] = column.cast(pa.string()).to_pylist()
        else:
            found[name] = column.to_numpy(zero_copy_only=False)
    return found


def _own_error(error: BaseException) -> BaseException:
    """What an executor has raised, without the traces of Java and Python."""
    from ._evaluation import BadRows

    for line in str(error).splitlines():
        for kind in (BadRows, ValueError):
            marker = f"{kind.__name__}: "
            at = line.find(marker)
            if at >= 0:
                return kind(line[at + len(marker) :])
    return error
