"""Mean losses of many rows by slice, with their uncertainty, from states that add up: what Spark and Ray compute with.

The mathematics is that of ``lossd evaluate`` (docs/evaluation.md): sums of losses, weights, squares and products by slice,
intervals by Student's t and the delta method, and the bootstrap of clusters in buckets, with the same hashes and draws.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from ._client import Client, default_client
from ._kernel import Kernel, manifest_of
from ._loss import Loss, catalog_entry
from .errors import InvalidRequest, KernelUnavailable, LossdError

__all__ = ["BadRows", "Plan", "State", "summarize"]

Names = Union[str, Sequence[str]]
Key = Tuple[Any, ...]

#: Rows that are computed together.
BLOCK = 65_536
_CONFIDENCE = 0.95
_Z = 1.959963984540054
_FEW_DEGREES = (12.706204736, 4.30265273, 3.182446305, 2.776445105)
_MOST_BUCKETS, _LEAST_BUCKETS, _MOST_CELLS = 4096, 256, 2**17
_MOST_SLICES = 10_000
_TOO_LARGE = 2.0**960
#: Above this many slices, quantiles are only those of all rows.
_MOST_SKETCHES = 512
#: Bins of the distribution that is reported.
_MOST_BINS = 60
_MOST_WORST = 1000
_CLUSTER_REPLICATES = 1000

_FITS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "positive": lambda x: x >= 0,
    "nonnegative": lambda x: x >= 0,
    "probability": lambda x: (x >= 0) & (x <= 1),
    "simplex": lambda x: (x >= 0) & (x <= 1),
    "binary": lambda x: (x == 0) | (x == 1),
    "sign": lambda x: (x == -1) | (x == 1),
}
_INDICES = ("class", "count", "index_list")
_SOFT_LABELS = ("class_or_probability", "class_or_binary")


class BadRows(LossdError):
    """Rows without a loss, with ``on_bad="fail"``: nulls, NaN, labels out of range."""


@dataclass(frozen=True)
class _LossAsk:
    """A loss, in words that can be sent to another machine."""

    name: Optional[str]
    inline: Optional[Dict[str, Any]]
    inputs: Tuple[str, ...]
    params: Dict[str, Any]

    @staticmethod
    def of(loss: Union[str, Loss]) -> "_LossAsk":
        made = Loss(loss) if isinstance(loss, str) else loss
        return _LossAsk(made.name, made._inline, tuple(made.inputs), dict(made.params))

    @property
    def title(self) -> str:
        return self.name if self.name is not None else "formula"

    def open(self, client: Any) -> Loss:
        loss = Loss(self.name, inputs=list(self.inputs), params=self.params, mode="local", client=client) if self.inline is None else None
        if loss is not None:
            return loss
        assert self.inline is not None
        words = {"formula": self.inline.get("formula"), "definition": self.inline.get("definition"), "axes": self.inline.get("axes")}
        return Loss(inputs=list(self.inputs), params=self.params, mode="local", client=client, **words)


class _Recording:
    """A client that keeps the kernels it hands out."""

    def __init__(self, client: Client):
        self._client = client
        self.url = client.url
        self.modules: Dict[str, bytes] = {}

    def kernel(self, loss: Any, question: str, options: Mapping[str, Any]) -> Kernel:
        kernel = self._client.kernel(loss, question, options)
        self.modules[question] = kernel.module
        return kernel


class _Shipped:
    """The kernels that were sent along, where no service is."""

    def __init__(self, url: str, modules: Mapping[str, bytes]):
        self.url = url
        self._modules = modules
        self._kernels: Dict[str, Kernel] = {}

    def kernel(self, loss: Any, question: str, options: Mapping[str, Any]) -> Kernel:
        module = self._modules.get(question)
        if module is None:
            raise KernelUnavailable("kernel-unavailable", "rows have other types or shapes than the first ones")
        return self._kernels.setdefault(question, Kernel(module))


@dataclass
class Plan:
    """What is computed. It can be pickled, and needs no service where it is used.

    :param columns: input of a loss -> its column, or several that are the classes of a row
    :param compare: the predictions of two models or more: the first is compared with each of the others
    """

    losses: List[_LossAsk]
    columns: Dict[str, Tuple[str, ...]]
    by: Tuple[str, ...] = ()
    weight: Optional[str] = None
    compare: Tuple[Tuple[str, ...], ...] = ()
    cluster: Optional[str] = None
    bootstrap: int = 0
    seed: int = 0
    on_bad: str = "fail"
    quantiles: Tuple[float, ...] = ()
    worst: int = 0
    url: str = ""
    modules: Dict[str, bytes] = field(default_factory=dict)

    @staticmethod
    def make(
        losses: Union[str, Loss, Sequence[Union[str, Loss]]],
        *,
        predictions: Optional[Names] = None,
        targets: Optional[Names] = None,
        columns: Optional[Mapping[str, Names]] = None,
        by: Names = (),
        weight: Optional[str] = None,
        compare: Sequence[Names] = (),
        cluster: Optional[str] = None,
        bootstrap: Optional[int] = None,
        seed: int = 0,
        on_bad: str = "fail",
        quantiles: Sequence[float] = (),
        worst: int = 0,
    ) -> "Plan":
        """:raises ValueError: for what does not fit together"""
        if on_bad not in ("fail", "skip"):
            raise ValueError(f"on_bad is fail or skip, got {on_bad!r}")
        if bootstrap is None:
            bootstrap = 0 if cluster is None else _CLUSTER_REPLICATES
        if bootstrap == 0 and cluster is not None:
            raise ValueError("bootstrap must be at least 1 with a cluster, which only the bootstrap knows of")
        if bootstrap > 0 and cluster is None:
            raise ValueError("bootstrap needs cluster: rows have no order that is the same on every machine")
        if compare and len(compare) < 2:
            raise ValueError("compare needs the predictions of at least two models")
        if not all(0 < share < 1 for share in quantiles):
            raise ValueError(f"quantiles are between 0 and 1, got {list(quantiles)}")
        if not 0 <= worst <= _MOST_WORST:
            raise ValueError(f"worst is from 0 to {_MOST_WORST}, got {worst}")
        given = {**({"predictions": predictions} if predictions else {}), **({"targets": targets} if targets else {}), **(columns or {})}
        many = [losses] if isinstance(losses, (str, Loss)) else list(losses)
        return Plan(
            [_LossAsk.of(loss) for loss in many],
            {name: _names(own) for name, own in given.items()},
            _names(by),
            weight,
            tuple(_names(own) for own in compare),
            cluster,
            bootstrap,
            seed,
            on_bad,
            tuple(float(share) for share in quantiles),
            worst,
        )

    @property
    def models(self) -> Sequence[Optional[Tuple[str, ...]]]:
        return self.compare or (None,)

    @property
    def losses_at(self) -> List[int]:
        """The series that are losses. The others are differences of two models."""
        models = len(self.models)
        return [loss * (2 * models - 1) + model for loss in range(len(self.losses)) for model in range(models)]

    def needed(self) -> List[str]:
        """Columns that are read."""
        found = [name for loss in self.losses for model in self.models for own in self.inputs_of(loss, model).values() for name in own]
        found += [*self.by, *([self.weight] if self.weight else []), *([self.cluster] if self.cluster else [])]
        return list(dict.fromkeys(found))

    def inputs_of(self, loss: _LossAsk, model: Optional[Tuple[str, ...]]) -> Dict[str, Tuple[str, ...]]:
        """Input -> its columns. ``predictions`` and ``targets`` are the first and the second input, whatever they are called."""
        found: Dict[str, Tuple[str, ...]] = {}
        given = {**self.columns, **({"predictions": model} if model is not None else {})}
        required = _required(loss)
        for word, names in given.items():
            place = ("predictions", "targets").index(word) if word in ("predictions", "targets") else -1
            name = word if word in loss.inputs else required[place] if 0 <= place < len(required) else None
            if name is None:
                raise ValueError(f'{loss.title} has no input "{word}"; it has {", ".join(loss.inputs)}')
            found[name] = names
        for name in required:
            found.setdefault(name, (name,))
        return found

    def prepare(self, rows: Mapping[str, Any], client: Optional[Client] = None) -> None:
        """Gets the kernels for rows like these. After that, the plan needs no service.

        :param rows: a few rows, as columns
        """
        own = client or default_client()
        recording = _Recording(own)
        columns = {name: _array(name, rows[name]) for name in self.needed() if name in rows}
        self._check_columns(columns)
        for loss in self.losses:
            opened = loss.open(recording)
            for model in self.models:
                tensors, bad = self._tensors(loss, model, columns)
                usable = np.flatnonzero(~bad)[:1]
                tensors = {name: array[usable] if len(usable) else np.ones_like(array[:1]) for name, array in tensors.items()}
                result = opened.evaluate(**tensors, wrt=(), reduction="mean")
                if result.denominator != result.count:
                    raise _own_denominator(loss)
        for module in recording.modules.values():
            manifest = manifest_of(module)
            if manifest["couples"] not in ("element", "row"):
                raise ValueError(f"{manifest['loss']} cannot be evaluated row by row: the loss of a row depends on other rows")
        self.url, self.modules = own.url, recording.modules

    def _check_columns(self, columns: Mapping[str, Any]) -> None:
        missing = [name for name in self.needed() if name not in columns]
        if missing:
            raise ValueError(f'there is no column "{missing[0]}"')

    def evaluate(self, batches: Iterable[Mapping[str, Any]]) -> "State":
        """The state of batches of rows, each a mapping of columns."""
        state = State(self)
        client = _Shipped(self.url, self.modules)
        losses = [loss.open(client) for loss in self.losses]
        for batch in batches:
            columns = {name: _array(name, batch[name]) for name in self.needed() if name in batch}
            self._check_columns(columns)
            rows = len(next(iter(columns.values())))
            for start in range(0, rows, BLOCK):
                self._add(state, losses, {name: own[start : start + BLOCK] for name, own in columns.items()})
        return state

    def _add(self, state: "State", losses: Sequence[Loss], columns: Mapping[str, np.ndarray]) -> None:
        rows = len(next(iter(columns.values())))
        bad: List[Optional[str]] = [None] * rows
        values: List[np.ndarray] = []
        for ask, loss in zip(self.losses, losses):
            own = [self._values(ask, loss, model, columns, bad) for model in self.models]
            values += own
            values += [other - own[0] for other in own[1:]]
        weights = np.ones(rows)
        if self.weight is not None:
            weights = columns[self.weight].astype(np.float64)
            self._mark(bad, ~((weights >= 0) & (weights < math.inf)), f"a weight must be a number >= 0 in {self.weight}")
        good = np.array([reason is None for reason in bad], dtype=bool)
        for reason in bad:
            if reason is not None:
                state.bad[reason] = state.bad.get(reason, 0) + 1
        kept = [own[good] for own in values]
        state.add(kept, weights[good], {name: columns[name][good] for name in self._keys()})
        if self.worst > 0:
            counted = good & (weights != 0)
            state.add_worst([own[counted] for own in values], {name: own[counted] for name, own in columns.items()})

    def _keys(self) -> List[str]:
        return [*self.by, *([self.cluster] if self.cluster else [])]

    def _values(
        self,
        ask: _LossAsk,
        loss: Loss,
        model: Optional[Tuple[str, ...]],
        columns: Mapping[str, np.ndarray],
        bad: List[Optional[str]],
    ) -> np.ndarray:
        tensors, isnt = self._tensors(ask, model, columns)
        names = self.inputs_of(ask, model)
        for name, array in tensors.items():
            nan = _by_row(np.isnan(array)) if array.dtype.kind == "f" else np.zeros(len(array), dtype=bool)
            self._mark(bad, nan, f"NaN or null in {', '.join(names[name])}")
            fits = _FITS.get(_kind(ask, name))
            if fits is not None:
                self._mark(bad, _by_row(~fits(array)) & ~nan, f"a number that is not {_kind(ask, name)} in {', '.join(names[name])}")
        self._mark(bad, isnt, "a label that is no integer")
        values = np.zeros(len(isnt))
        rows = np.flatnonzero([reason is None for reason in bad])
        while len(rows):
            try:
                result = loss.evaluate(**{name: array[rows] for name, array in tensors.items()}, wrt=(), reduction="none")
            except InvalidRequest as error:
                rows = self._without(error, rows, tensors, bad)
                continue
            found = np.asarray(result.loss, dtype=np.float64).reshape(len(rows), -1)
            if result.count is not None and result.count != found.size:
                raise _own_denominator(ask)
            values[rows] = found[:, 0] if found.shape[1] == 1 else found.sum(axis=1) / found.shape[1]
            self._mark(bad, np.isnan(values), f"the loss of {ask.title} is NaN")
            break
        return values

    def _without(
        self, error: InvalidRequest, rows: np.ndarray, tensors: Mapping[str, np.ndarray], bad: List[Optional[str]]
    ) -> np.ndarray:
        """The rows without the one that a kernel refuses, and those with the same number there."""
        parts = error.pointer.split("/")
        if len(parts) < 3 or parts[1] not in tensors or not parts[2].isdigit():
            raise error
        array = tensors[parts[1]]
        row = rows[int(parts[2])]
        alike = array == array[row] if array.ndim == 1 else np.arange(len(array)) == row
        mask = np.zeros(len(array), dtype=bool)
        mask[rows] = alike[rows]
        self._mark(bad, mask, f"{error.detail.split(', got ')[0]} in {parts[1]}")
        return np.flatnonzero([reason is None for reason in bad])

    def _mark(self, bad: List[Optional[str]], rows: np.ndarray, reason: str) -> None:
        for row in np.flatnonzero(rows):
            if bad[row] is not None:
                continue
            if self.on_bad == "fail":
                raise BadRows(f'{reason}; on_bad="skip" leaves such rows out and counts them')
            bad[row] = reason

    def _tensors(
        self, loss: _LossAsk, model: Optional[Tuple[str, ...]], columns: Mapping[str, np.ndarray]
    ) -> Tuple[Dict[str, np.ndarray], np.ndarray]:
        """The inputs of a loss, and which rows have a label that is no integer."""
        found: Dict[str, np.ndarray] = {}
        rows = len(next(iter(columns.values())))
        isnt = np.zeros(rows, dtype=bool)
        for name, names in self.inputs_of(loss, model).items():
            array = columns[names[0]] if len(names) == 1 else np.stack([columns[own].astype(np.float64) for own in names], axis=1)
            kind = _kind(loss, name)
            if kind in _INDICES or (kind in _SOFT_LABELS and array.ndim == 1):
                numbers = array.astype(np.float64)
                isnt |= _by_row(~((numbers == np.floor(numbers)) & (np.abs(numbers) < 2**31)))
                array = np.where(np.isfinite(numbers), numbers, -1).astype(np.int64).astype(np.int32)
            else:
                array = array.astype(np.float64)
            found[name] = np.ascontiguousarray(array)
        return found, isnt


def _own_denominator(ask: _LossAsk) -> ValueError:
    return ValueError(f"{ask.title} divides by a sum of its own here, as for ignored labels, which only lossd evaluate does")


def _names(names: Names) -> Tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _required(loss: _LossAsk) -> List[str]:
    entry = catalog_entry(loss.name) if loss.name is not None else None
    optional = {one["name"] for one in entry["inputs"] if one["optional"]} if entry is not None else set()
    return [name for name in loss.inputs if name not in optional]


def _kind(loss: _LossAsk, name: str) -> str:
    entry = catalog_entry(loss.name) if loss.name is not None else None
    kinds = {one["name"]: one["kind"] for one in entry["inputs"]} if entry is not None else {}
    return str(kinds.get(name, "real"))


def _by_row(mask: np.ndarray) -> np.ndarray:
    return mask if mask.ndim == 1 else mask.any(axis=tuple(range(1, mask.ndim)))


def _array(name: str, column: Any) -> np.ndarray:
    """A column as an array: numbers, texts, or rows of numbers."""
    array = np.asarray(column)
    if array.dtype != object or len(array) == 0:
        return array
    first = next((one for one in array if one is not None), None)
    if isinstance(first, (list, tuple, np.ndarray)):
        width = len(first)
        empty = np.full(width, np.nan)
        rows = [empty if one is None or len(one) != width else np.asarray(one, dtype=np.float64) for one in array]
        return np.stack(rows)
    if isinstance(first, (int, float, np.number)) and not isinstance(first, bool):
        return np.array([math.nan if one is None else float(one) for one in array])
    return array


# States


class _Sums:
    """Sums in twice the precision of float64: what is lost in an addition is kept."""

    __slots__ = ("high", "low")

    def __init__(self, width: int):
        self.high = np.zeros(width)
        self.low = np.zeros(width)

    def add(self, more: np.ndarray, rest: Union[float, np.ndarray] = 0.0) -> None:
        total = self.high + more
        part = total - self.high
        self.low += (self.high - (total - part)) + (more - part) + rest
        self.high = total

    def value(self) -> np.ndarray:
        return np.asarray(self.high + self.low)


#: What is summed of each series: values, squares, shares, squares of shares, products, plus infinite, minus infinite, and
#: rows whose share is not 0.
_MOMENTS = 8


class _Sketch:
    """Counts of losses by their first 19 bits, 128 bins in each power of two, as src/evaluation/quantile-sketch.ts has them."""

    __slots__ = ("counts",)

    #: The sign, 11 bits of the exponent and 7 of the fraction.
    SHIFT = 45
    NEGATIVE = 1 << 18
    #: 0.07 of 100 numbers are 7 of them, although the product is 7.000000000000001.
    BELOW_ONE = 1 - 2**-51

    def __init__(self) -> None:
        self.counts: Dict[int, int] = {}

    def add(self, losses: np.ndarray) -> None:
        bins, counts = np.unique(np.ascontiguousarray(losses, dtype=np.float64).view(np.uint64) >> np.uint64(self.SHIFT), return_counts=True)
        self._count(zip(bins.tolist(), counts.tolist()))

    def merge(self, other: "_Sketch") -> None:
        self._count(other.counts.items())

    def _count(self, more: Iterable[Tuple[int, int]]) -> None:
        for place, count in more:
            self.counts[place] = self.counts.get(place, 0) + count

    def _in_order(self) -> List[int]:
        """Of negative numbers, the largest bins hold the smallest."""
        negative = sorted((place for place in self.counts if place >= self.NEGATIVE), reverse=True)
        return negative + sorted(place for place in self.counts if place < self.NEGATIVE)

    def quantile(self, share: float) -> float:
        """The smallest number that this share of the numbers is below or at, as the middle of its bin."""
        wanted = max(1, math.ceil(share * sum(self.counts.values()) * self.BELOW_ONE))
        below = 0
        for place in self._in_order():
            below += self.counts[place]
            if below >= wanted:
                return self._middle_of(place)
        return 0.0

    def _middle_of(self, place: int) -> float:
        """The lowest bins hold 0, and numbers that are practically 0."""
        if place in (0, self.NEGATIVE):
            return 0.0
        low, high = self._ends(place)
        return low if low == high else low + (high - low) / 2

    def _ends(self, place: int) -> Tuple[float, float]:
        near, far = (float(np.uint64(one << self.SHIFT).view(np.float64)) for one in (place, place + 1))
        if not math.isfinite(near):
            return near, near
        far = min(sys.float_info.max, max(-sys.float_info.max, far))
        return (near, far) if near < far or (near == 0 and math.copysign(1, near) > 0) else (far, near)

    def distribution(self, most: int) -> List[Dict[str, Any]]:
        """Neighboring bins together, so that there are not too many."""
        order = self._in_order()
        # No finite loss is in a bin with infinite ones.
        finite = [place for place in order if math.isfinite(self._ends(place)[0])]
        step = max(1, -(-len(finite) // most))
        parts = [finite[start : start + step] for start in range(0, len(finite), step)]
        parts = [
            *([place] for place in order if self._ends(place)[0] == -math.inf),
            *parts,
            *([place] for place in order if self._ends(place)[0] == math.inf),
        ]
        return [
            {"low": self._ends(part[0])[0], "high": self._ends(part[-1])[1], "count": sum(self.counts[place] for place in part)}
            for part in parts
        ]


class _Slice:
    """The sums of one slice."""

    __slots__ = ("rows", "sums", "low", "high", "buckets", "bucket_shares", "sketches")

    def __init__(self, series: int):
        self.rows = 0
        self.sums = _Sums(series * _MOMENTS)
        self.low = np.full(series, math.inf)
        self.high = np.full(series, -math.inf)
        #: Sums of the values and of the shares by bucket.
        self.buckets: Optional[_Sums] = None
        self.bucket_shares: Optional[_Sums] = None
        #: Of the losses, if there are quantiles, by series.
        self.sketches: Dict[int, _Sketch] = {}

    def merge(self, other: "_Slice") -> None:
        self.rows += other.rows
        for place, sketch in other.sketches.items():
            self.sketches.setdefault(place, _Sketch()).merge(sketch)
        self.sums.add(other.sums.high, other.sums.low)
        self.low = np.minimum(self.low, other.low)
        self.high = np.maximum(self.high, other.high)
        if other.buckets is None or other.bucket_shares is None:
            return
        if self.buckets is None or self.bucket_shares is None:
            self.buckets, self.bucket_shares = _Sums(len(other.buckets.high)), _Sums(len(other.bucket_shares.high))
        self.buckets.add(other.buckets.high, other.buckets.low)
        self.bucket_shares.add(other.bucket_shares.high, other.bucket_shares.low)


class State:
    """What is known of the rows that were seen. States of parts of the rows add up to the state of all of them."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.slices: Dict[Key, _Slice] = {}
        self.bad: Dict[str, int] = {}
        #: Series -> the largest losses, and the columns of their rows.
        self.worst: Dict[int, List[_Worst]] = {}

    @property
    def series(self) -> int:
        models = len(self.plan.models)
        return len(self.plan.losses) * (2 * models - 1)

    def add(self, losses: Sequence[np.ndarray], weights: np.ndarray, keys: Mapping[str, np.ndarray]) -> None:
        """Adds rows.

        :param losses: of each series
        :param keys: columns of slices, and of clusters
        """
        if len(weights) == 0:
            return
        plan = self.plan
        hashes = _hashes(keys[plan.cluster], plan.seed) if plan.cluster is not None and plan.bootstrap > 0 else None
        for key, rows in _groups([keys[name] for name in plan.by], len(weights)):
            own = self.slices.get(key)
            if own is None:
                if len(self.slices) >= _MOST_SLICES:
                    raise ValueError(f"there are more than {_MOST_SLICES} slices; slice by columns with fewer values")
                own = self.slices[key] = _Slice(self.series)
            self._add_to(own, [one[rows] for one in losses], weights[rows], None if hashes is None else hashes[rows])

    def _add_to(self, own: _Slice, losses: Sequence[np.ndarray], weights: np.ndarray, hashes: Optional[np.ndarray]) -> None:
        own.rows += len(weights)
        sums = np.empty(self.series * _MOMENTS)
        bucket_sums = []
        losses_at = self.plan.losses_at
        for place, loss in enumerate(losses):
            with np.errstate(invalid="ignore", over="ignore"):
                values = np.where(weights == 0, 0.0, loss * weights)
            finite = np.abs(values) < _TOO_LARGE
            above, below = int((~finite & ~(values < 0)).sum()), int((~finite & ~(values > 0)).sum())
            kept = np.where(finite, values, 0.0)
            sums[place * _MOMENTS : (place + 1) * _MOMENTS] = (
                kept.sum(),
                (kept * kept).sum(),
                weights.sum(),
                (weights * weights).sum(),
                (kept * weights).sum(),
                above,
                below,
                np.count_nonzero(weights),
            )
            counted = loss[weights != 0]
            if self.plan.quantiles and place in losses_at:
                own.sketches.setdefault(place, _Sketch()).add(counted)
            own.low[place] = min(own.low[place], counted.min(initial=math.inf))
            own.high[place] = max(own.high[place], counted.max(initial=-math.inf))
            bucket_sums.append(kept)
        own.sums.add(sums)
        if hashes is None:
            return
        cells = hashes & (_MOST_BUCKETS - 1)
        more = np.concatenate([np.bincount(cells, weights=kept, minlength=_MOST_BUCKETS) for kept in bucket_sums])
        if own.buckets is None or own.bucket_shares is None:
            own.buckets, own.bucket_shares = _Sums(len(more)), _Sums(_MOST_BUCKETS)
        own.buckets.add(more)
        own.bucket_shares.add(np.bincount(cells, weights=weights, minlength=_MOST_BUCKETS))

    def add_worst(self, losses: Sequence[np.ndarray], columns: Mapping[str, np.ndarray]) -> None:
        """Keeps the rows with the largest losses.

        :param losses: of each series
        :param columns: all that were read
        """
        most = self.plan.worst
        for place in self.plan.losses_at:
            known, own = self.worst.get(place, []), losses[place]
            least = known[-1][0] if len(known) == most else -math.inf
            # All that are equal to the last of them, because their columns decide.
            if len(own) > most:
                least = max(least, float(np.partition(own, len(own) - most)[len(own) - most]))
            rows = np.flatnonzero(own >= least)
            self.worst[place] = _largest(known + [_worst_of(float(own[row]), row, columns) for row in rows], most)

    def merge(self, other: "State") -> "State":
        """Adds the state of other rows."""
        for place, rows in other.worst.items():
            self.worst[place] = _largest(self.worst.get(place, []) + rows, self.plan.worst)
        for key, own in other.slices.items():
            known = self.slices.get(key)
            if known is None:
                self.slices[key] = own
            else:
                known.merge(own)
        for reason, count in other.bad.items():
            self.bad[reason] = self.bad.get(reason, 0) + count
        return self

    def __getstate__(self) -> Dict[str, Any]:
        """Without the kernels, which whoever merges states has, or does not need."""
        slices = [
            (key, own.rows, own.sums, own.low, own.high, own.buckets, own.bucket_shares, own.sketches)
            for key, own in self.slices.items()
        ]
        plan = Plan(**{**vars(self.plan), "modules": {}})
        return {"plan": plan, "slices": slices, "bad": self.bad, "worst": self.worst}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.plan, self.bad, self.worst, self.slices = state["plan"], state["bad"], state["worst"], {}
        for key, rows, sums, low, high, buckets, shares, sketches in state["slices"]:
            own = _Slice(len(low))
            own.sketches = sketches
            own.rows, own.sums, own.low, own.high, own.buckets, own.bucket_shares = rows, sums, low, high, buckets, shares
            self.slices[key] = own


#: A loss, its row as text, which decides between equal losses, and the columns of the row.
_Worst = Tuple[float, str, Dict[str, Any]]


def _worst_of(loss: float, row: int, columns: Mapping[str, np.ndarray]) -> _Worst:
    values = {name: _plain_cell(own[row]) for name, own in columns.items()}
    return loss, json.dumps(values, sort_keys=True), values


def _largest(rows: List[_Worst], most: int) -> List[_Worst]:
    return sorted(rows, key=lambda one: (-one[0], one[1]))[:most]


def _plain_cell(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple, np.ndarray)) else _plain(value)


def _groups(columns: Sequence[np.ndarray], rows: int) -> Iterable[Tuple[Key, np.ndarray]]:
    """Key -> the rows that have it."""
    if not columns:
        yield (), np.arange(rows)
        return
    codes = np.zeros(rows, dtype=np.int64)
    for column in columns:
        own: Dict[Any, int] = {}
        places = np.fromiter((own.setdefault(_plain(value), len(own)) for value in column), dtype=np.int64, count=rows)
        codes = codes * len(own) + places
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], rows]):
        which = order[start:end]
        yield tuple(_plain(column[which[0]]) for column in columns), which


def _plain(value: Any) -> Any:
    """A key as JSON has it: a number, a text, true, false or null."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        if number != number:
            return None
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if isinstance(value, np.datetime64):
        return _time_text(value)
    return str(value)


def _time_text(value: np.datetime64) -> Optional[str]:
    if np.isnat(value):
        return None
    text = str(value.astype("datetime64[us]")).replace("T", " ")
    return text.rstrip("0").rstrip(".") if "." in text else text


# The bootstrap, as src/evaluation/random.ts and intervals.ts have it

_MASK = 0xFFFFFFFF


def _mix(word: int) -> int:
    h = word & _MASK
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _MASK
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _MASK
    return h ^ (h >> 16)


def _hash_of_text(text: str, seed: int) -> int:
    h = (0x811C9DC5 ^ seed) & _MASK
    encoded = text.encode("utf-16-le")
    for place in range(0, len(encoded), 2):
        h = ((h ^ (encoded[place] | encoded[place + 1] << 8)) * 0x01000193) & _MASK
    return _mix(h)


def _hashes(column: np.ndarray, seed: int) -> np.ndarray:
    known: Dict[Any, int] = {}
    found = np.empty(len(column), dtype=np.int64)
    for row, value in enumerate(column):
        key = _plain(value)
        own = known.get(key)
        if own is None:
            own = known[key] = _hash_of_text(_text_of(key), seed)
        found[row] = own
    return found


def _text_of(key: Any) -> str:
    """As JavaScript prints it."""
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float):
        size = abs(key)
        if 1e-6 <= size < 1e21:
            return np.format_float_positional(key, trim="-")
        mantissa, exponent = repr(key).split("e")
        return f"{mantissa.removesuffix('.0')}e{'+' if int(exponent) > 0 else ''}{int(exponent)}"
    return str(key)


class _Random:
    """sfc32."""

    def __init__(self, seed: int):
        self.a, self.b, self.c, self.d = _mix(seed), _mix(seed + 1), _mix(seed + 2), 1
        for _ in range(12):
            self.next()

    def next(self) -> int:
        t = (self.a + self.b + self.d) & _MASK
        self.d = (self.d + 1) & _MASK
        self.a = self.b ^ (self.b >> 9)
        self.b = (self.c + (self.c << 3)) & _MASK
        self.c = (((self.c << 21) & _MASK | (self.c >> 11)) + t) & _MASK
        return t


def _student(degrees: int) -> float:
    if degrees <= len(_FEW_DEGREES):
        return _FEW_DEGREES[degrees - 1]
    z, n = _Z, degrees
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _normal_below(x: float) -> float:
    t = 1 / (1 + (0.3275911 * abs(x)) / math.sqrt(2))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = 0.5 * poly * math.exp((-x * x) / 2)
    return upper if x < 0 else 1 - upper


def _percentile(values: np.ndarray, share: float) -> float:
    place = min(len(values) - 1.0, max(0.0, share * (len(values) + 1) - 1))
    below = math.floor(place)
    low, high = values[below], values[min(len(values) - 1, below + 1)]
    return float(low + (high - low) * (place - below))


Spread = Optional[Tuple[float, Tuple[float, float]]]


def _bootstrap(parts: Sequence[Tuple[np.ndarray, np.ndarray]], replicates: int, seed: int) -> List[Spread]:
    """:param parts: sums of values and of shares by bucket"""
    filled = np.flatnonzero(np.any([shares != 0 for _, shares in parts], axis=0))
    sums = np.stack([own[filled] for own, _ in parts], axis=1)
    shares = np.stack([own[filled] for _, own in parts], axis=1)
    count = len(filled)
    random = _Random(seed)
    means = np.empty((replicates, len(parts)))
    for replicate in range(replicates):
        drawn = [math.floor(random.next() * (count / 2**32)) for _ in range(count)]
        times = np.bincount(drawn, minlength=count)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[replicate] = (times @ sums) / (times @ shares)
    return [_spread(int((shares[:, place] != 0).sum()), means[:, place]) for place in range(len(parts))]


def _spread(filled: int, means: np.ndarray) -> Spread:
    values = np.sort(means[~np.isnan(means)])
    if filled < 2 or len(values) < 2:
        return None
    tail = _normal_below(-_student(filled - 1) * math.sqrt(filled / (filled - 1)))
    error = math.sqrt(((values - values.mean()) ** 2).sum() / (len(values) - 1))
    return error, (_percentile(values, tail), _percentile(values, 1 - tail))


def _from_moments(m: np.ndarray) -> Spread:
    total, squares, shares, share_squares, products = m[:5]
    rows = int(m[7])
    if rows < 2 or shares == 0:
        return None
    mean = total / shares
    spread = max(0.0, squares - 2 * mean * products + mean * mean * share_squares)
    error = math.sqrt((spread * rows) / (rows - 1)) / abs(shares)
    margin = _student(rows - 1) * error
    return error, (mean - margin, mean + margin)


# The answer


def summarize(state: State) -> Dict[str, Any]:
    """The answer, in the words of ``POST /v1/evaluations``."""
    plan = state.plan
    order = sorted(state.slices, key=_sortable) if plan.by else []
    whole = _Slice(state.series)
    for own in state.slices.values():
        whole.merge(own)
    parts = [whole, *(state.slices[key] for key in order)]
    series = [_estimates(plan, parts, place, len(state.slices)) for place in range(state.series)]
    losses: List[Dict[str, Any]] = []
    comparisons: List[Dict[str, Any]] = []
    models = plan.models
    for number, ask in enumerate(plan.losses):
        first = number * (2 * len(models) - 1)
        label = {"loss": ask.title, "params": dict(ask.params)}
        for place, model in enumerate(models):
            named = {} if model is None else {"model": "+".join(model)}
            report = _report(series[first + place], plan.by, order)
            losses.append({**label, **named, **report, **_details(state, whole, first + place)})
        for place, model in enumerate(models[1:]):
            report = _report(series[first + len(models) + place], plan.by, order)
            comparisons.append({**label, **_judged(report, "+".join(models[0] or ()), "+".join(model or ()))})
    left = sum(state.bad.values())
    return {
        "rows": whole.rows + left,
        "used": whole.rows,
        "bad": [{"reason": reason, "count": count} for reason, count in sorted(state.bad.items())],
        "by": list(plan.by),
        **({"weight": plan.weight} if plan.weight is not None else {}),
        "uncertainty": _uncertainty(plan, len(state.slices)),
        "computed_by": "portable kernels, float64",
        "losses": losses,
        "comparisons": comparisons,
    }


def _details(state: State, whole: _Slice, place: int) -> Dict[str, Any]:
    """The distribution and the worst rows. Rows have no number here, so these are told by their columns."""
    sketch = whole.sketches.get(place)
    worst = state.worst.get(place, [])
    return {
        **({} if sketch is None or not sketch.counts else {"distribution": sketch.distribution(_MOST_BINS)}),
        **({} if not worst else {"worst": [{"loss": _number(loss), "values": values} for loss, _, values in worst]}),
    }


def _sortable(key: Key) -> Any:
    return [(part is None, not isinstance(part, (int, float)), part if part is not None else 0) for part in key]


def _buckets_for(slices: int) -> int:
    buckets = _MOST_BUCKETS
    while buckets > _LEAST_BUCKETS and slices * buckets > _MOST_CELLS:
        buckets //= 2
    return buckets


def _estimates(plan: Plan, parts: Sequence[_Slice], place: int, slices: int) -> List[Dict[str, Any]]:
    moments = [own.sums.value()[place * _MOMENTS : (place + 1) * _MOMENTS] for own in parts]
    if plan.bootstrap == 0:
        spreads = [_from_moments(m) for m in moments]
    else:
        spreads = _bootstrap([_folded(own, place, slices) for own in parts], plan.bootstrap, plan.seed)
    # The first part is all rows.
    told = len(parts) if slices <= _MOST_SKETCHES else 1
    sketches = [own.sketches.get(place) if part < told else None for part, own in enumerate(parts)]
    return [_estimate(plan, own, place, m, spread, sketch) for own, m, spread, sketch in zip(parts, moments, spreads, sketches)]


def _folded(own: _Slice, place: int, slices: int) -> Tuple[np.ndarray, np.ndarray]:
    count = _buckets_for(slices)
    if own.buckets is None or own.bucket_shares is None:
        return np.zeros(count), np.zeros(count)
    sums = own.buckets.value()[place * _MOST_BUCKETS : (place + 1) * _MOST_BUCKETS]
    return sums.reshape(-1, count).sum(axis=0), own.bucket_shares.value().reshape(-1, count).sum(axis=0)


def _estimate(plan: Plan, own: _Slice, place: int, m: np.ndarray, spread: Spread, sketch: Optional[_Sketch]) -> Dict[str, Any]:
    above, below = m[5], m[6]
    known = spread if above + below == 0 else None
    mean = m[0] / m[2] if m[2] != 0 else math.nan
    if above > 0:
        mean = math.nan if below > 0 else math.inf
    elif below > 0:
        mean = -math.inf
    return {
        "rows": own.rows,
        **({"weight": float(m[2])} if plan.weight is not None else {}),
        "mean": _number(mean),
        "standard_error": None if known is None else known[0],
        "interval": None if known is None else list(known[1]),
        "min": _number(own.low[place]),
        "max": _number(own.high[place]),
        **({} if sketch is None or not sketch.counts else {"quantiles": _quantiles(plan, sketch, own.low[place], own.high[place])}),
        **({"infinite": int(above + below)} if above + below > 0 else {}),
    }


def _quantiles(plan: Plan, sketch: _Sketch, low: float, high: float) -> Dict[str, float]:
    # Bins reach further than the numbers in them.
    return {_text_of(share): float(min(high, max(low, sketch.quantile(share)))) for share in plan.quantiles}


def _number(x: float) -> Optional[float]:
    return float(x) if math.isfinite(x) else None


def _report(estimates: Sequence[Dict[str, Any]], by: Sequence[str], order: Sequence[Key]) -> Dict[str, Any]:
    overall, *slices = estimates
    return {"overall": overall, "slices": [{"key": dict(zip(by, key)), **own} for key, own in zip(order, slices)]}


def _judged(report: Dict[str, Any], a: str, b: str) -> Dict[str, Any]:
    slices = [{**own, "verdict": _verdict(own)} for own in report["slices"]]
    counts = {word: sum(own["verdict"] == word for own in slices) for word in ("better", "worse", "undecided")}
    overall = {**report["overall"], "verdict": _verdict(report["overall"])}
    return {"a": a, "b": b, "overall": overall, "slices": slices, "counts": counts}


def _verdict(own: Mapping[str, Any]) -> str:
    interval = own["interval"]
    if interval is None:
        return "undecided"
    return "better" if interval[1] < 0 else "worse" if interval[0] > 0 else "undecided"


def _uncertainty(plan: Plan, slices: int) -> Dict[str, Any]:
    if plan.bootstrap == 0:
        return {"method": "standard error", "confidence": _CONFIDENCE}
    return {
        "method": "bootstrap",
        "confidence": _CONFIDENCE,
        "replicates": plan.bootstrap,
        "resampled": "buckets",
        "buckets": _buckets_for(slices),
        "cluster": plan.cluster,
        "seed": plan.seed,
    }
