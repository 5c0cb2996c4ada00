"""
Shared by the scripts of the presets: inputs under our names, including difficult ones, and the format of a case. Each script
calls the losses of a framework by all of their names with the framework's own defaults; test/losses/presets.test.ts sends the
same inputs to these names.
"""

import json
import math

import numpy as np

from cases import FOLDER, exact, rng

CATALOG = {entry["name"]: entry for entry in json.loads((FOLDER.parent / "losses/catalog.json").read_text())}


def differentiable(loss):
    return [one["name"] for one in CATALOG[loss]["inputs"] if one["differentiable"]]


def array(values, dtype=np.float64):
    return np.array(values, dtype)


def real(seed, *shape):
    return exact(rng(seed).normal(0, 1.5, shape))


def unit(seed, *shape):
    """Between 0 and 1, and not close to either."""
    return exact(rng(seed).uniform(0.02, 0.98, shape))


def simplex(seed, *shape):
    rows = rng(seed).gamma(1, 1, shape) + 0.01
    return rows / rows.sum(-1, keepdims=True)


def classes(seed, count, *shape):
    return rng(seed).integers(0, count, shape)


def signs(seed, *shape):
    return 2.0 * classes(seed, 2, *shape) - 1


def bits(seed, *shape):
    return classes(seed, 2, *shape).astype(np.float64)


def one_hot(labels, count):
    return np.eye(count)[labels]


def named(names, *arrays):
    return dict(zip(names.split(), arrays, strict=True))


def pairs(**cases):
    """Cases of predictions and targets."""
    return {key: named("predictions targets", *value) for key, value in cases.items()}


def ends():
    """Probabilities from 0 to 1, on both sides of every bound and epsilon of the frameworks, but not exactly on them."""
    near = array([1e-30, 3e-13, 3e-9, 3e-7, 1e-3])
    return np.concatenate([near, 1 - near[1:]])


ENDS = np.tile(ends(), (3, 1))
YES_NO_BETWEEN = np.repeat(array([[1], [0], [0.25]]), ENDS.shape[1], 1)

REALS = pairs(plain=(real(1, 4, 3), real(2, 4, 3)), cube=(real(3, 2, 3, 2), real(4, 2, 3, 2)))
FAR = pairs(far=(array([[1e4, -1e4, 300, 1e-9]]), array([[0, 0, 0.5, 0]])))
EQUAL = pairs(equal=(array([[1, -2, 0]]), array([[1, -2, 0]])))

LOGITS = pairs(
    plain=(real(5, 4, 3), bits(6, 4, 3)),
    soft=(real(7, 2, 3, 2), unit(8, 2, 3, 2)),
    far=(array([[1e3, -1e3, 1e3, -1e3, 0]]), array([[1, 0, 0, 1, 1]])),
    steep=(np.tile(array([-40, -18, -15, -3, 3, 15, 18, 40]), (3, 1)), YES_NO_BETWEEN[:, :8]),
)
PROBABILITIES = pairs(
    plain=(unit(9, 4, 3), bits(10, 4, 3)),
    soft=(unit(11, 2, 3, 2), unit(12, 2, 3, 2)),
    wrong=(array([[0, 1, 0.5]]), array([[1, 0, 1]])),
    right=(array([[0, 1, 0.5]]), array([[0, 1, 1]])),
    near=(array([[1e-3, 1e-9, 1 - 1e-9]]), array([[1, 1, 0]])),
    ends=(ENDS, YES_NO_BETWEEN),
    cut=(array([[1e-60, 1e-60]]), array([[1, 0]])),
)
SCORES = pairs(plain=(real(13, 4, 3), signs(14, 4, 3)), far=(array([[1e4, -1e4]]), array([[-1, 1]])))
AT_MARGIN = pairs(margin=(array([[1, -1, 0.5]]), array([[1, -1, 1]])))

INDICES = pairs(
    plain=(real(15, 4, 3), classes(16, 3, 4)),
    far=(array([[1e4, 0, -1e4], [0, 0, 0]]), array([1, 0], int)),
    steep=(12 * real(130, 6, 3), classes(131, 3, 6)),
)
IGNORED = pairs(ignored=(real(17, 4, 3), array([0, -100, 2, -100], int)))
SHARES = pairs(
    shares=(real(18, 4, 3), simplex(19, 4, 3)),
    hot=(real(20, 4, 3), one_hot(classes(21, 3, 4), 3)),
    steep=(12 * real(132, 6, 3), simplex(133, 6, 3)),
)
TIED = pairs(tied=(array([[1, 0, 2], [0, 0, 0]]), array([0, 1], int)))

ROWS = named("embeddings labels", real(22, 6, 4), array([0, 1, 0, 1, 2, 0], int))
"""Every row has a positive and a negative. Rows of one class are close together."""
GATHERED = named("embeddings labels", exact(real(134, 3, 4)[[0, 0, 1, 1, 2, 2, 2]] + 0.1 * real(135, 7, 4)), array([0, 0, 1, 1, 2, 2, 2], int))
SCATTERED = named("embeddings labels", real(136, 6, 4), array([0, 1, 0, 1, 1, 0], int))
SINGLES = {"embeddings": real(23, 3, 4), "labels": array([0, 1, 2], int)}
"""One of them has length 0."""
AT_ORIGIN = {**SCATTERED, "embeddings": SCATTERED["embeddings"] * array([[1], [1], [0], [1], [1], [1]])}
ONE_CLASS = {"embeddings": real(137, 3, 4), "labels": array([1, 1, 1], int)}


def unit_rows(inputs):
    rows = inputs["embeddings"]
    return {**inputs, "embeddings": rows / np.linalg.norm(rows, axis=1, keepdims=True)}


def boxes(seed, count):
    """Boxes as two corners, many of them overlapping."""
    corners = rng(seed).uniform(0, 4, (count, 2, 2))
    return exact(np.sort(corners, 1).reshape(count, 4))


BOXES = pairs(
    random=(boxes(138, 12), boxes(139, 12)),
    crossed=(boxes(140, 6)[:, [2, 1, 0, 3]], boxes(141, 6)),
    small=(boxes(142, 6) * 1e-3, boxes(143, 6) * 1e-3),
    plain=(
        array([[0, 0, 2, 3], [1, 1, 3, 4], [0, 0, 1, 1], [0, 0, 4, 4]]),
        array([[1, 1, 3, 4], [0, 2, 2.5, 4.5], [2, 3, 4, 4], [1, 1, 2, 3]]),
    ),
    same=(array([[0, 0, 2, 3]]), array([[0, 0, 2, 3]])),
    touching=(array([[0, 0, 1, 1]]), array([[1, 0, 2, 1]])),
    flat=(array([[0, 0, 2, 0]]), array([[0, 0, 2, 1]])),
    line=(array([[0, 1, 2, 1]]), array([[1, 1, 3, 1]])),
    points=(array([[1, 1, 1, 1]]), array([[1, 1, 1, 1]])),
)

VECTORS = pairs(
    plain=(real(24, 4, 3), real(25, 4, 3)),
    short=(array([[3e-9, 1e-9, 0], [1, 2, 2]]), array([[1, 2, 0.5], [1e-9, 0, 2e-9]])),
    zero=(array([[0, 0, 0], [1, 2, 2]]), array([[1, 2, 2], [0, 0, 0]])),
)

REGIONS = pairs(plain=(real(26, 3, 2, 5), bits(27, 3, 2, 5)), one=(real(28, 1, 1, 6), bits(29, 1, 1, 6)))
SHARED_REGIONS = pairs(
    plain=(unit(30, 3, 2, 5), bits(31, 3, 2, 5)),
    one=(unit(32, 1, 1, 6), bits(33, 1, 1, 6)),
    empty=(np.zeros((1, 1, 4)), np.zeros((1, 1, 4))),
)

TRIPLETS = {
    "plain": named("anchor positive negative", real(34, 5, 3), real(35, 5, 3), real(36, 5, 3)),
    "near": named("anchor positive negative", 0.01 * real(144, 5, 3), 0.01 * real(145, 5, 3), 0.01 * real(146, 5, 3)),
    "same": named("anchor positive negative", array([[1, 2, 2]]), array([[1, 2, 2]]), array([[1, 2, 2.5]])),
}

LOGPROBS = pairs(
    plain=(np.log(simplex(37, 4, 3)), simplex(38, 4, 3)),
    ends=(np.log(array([[3e-9, 3e-7, 0.9], [0.9, 3e-9, 1e-30]])), array([[0.5, 0.3, 0.2], [3e-9, 0.25, 0.75]])),
    zero=(np.log(array([[0.25, 0.75]])), array([[1, 0]])),
)

LISTS = pairs(plain=(real(39, 3, 4), exact(classes(40, 4, 3, 4))))
LISTS["padded"] = named(
    "predictions targets mask",
    real(41, 3, 4),
    exact(classes(42, 4, 3, 4)),
    array([[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]]),
)

SEQUENCES = {
    "plain": named("predictions targets input_lengths target_lengths", real(43, 3, 6, 4), array([[1, 2, 2], [3, 1, 0], [2, 0, 0]], int), array([6, 6, 6], int), array([3, 2, 1], int)),
    "shorter": named("predictions targets input_lengths target_lengths", real(44, 2, 6, 4), array([[1, 3], [2, 0]], int), array([5, 3], int), array([2, 1], int)),
    "impossible": named("predictions targets input_lengths target_lengths", real(45, 1, 2, 4), array([[1, 1]], int), array([2], int), array([2], int)),
}


def weighted(cases, of="plain"):
    """The cases, and one of them again with one weight per row, one of which is 0."""
    first = cases[of]
    rows = len(next(iter(first.values())))
    return {**cases, "weighted": {**first, "sample_weight": array([2, 0, 0.5, 1, 3])[:rows]}}


def case(loss, name, identity, source, inputs, value, gradients, **options):
    """The options are what a request has in addition to the name: parameters, or a preset that has no name for the loss."""
    answers = {key: spelled(gradient) for key, gradient in gradients.items()}
    given = {key: spelled(one) for key, one in inputs.items()}
    return {"name": name, "id": f"{loss}/{identity}", "source": source, "inputs": given, "loss": spelled(value), "gradients": answers, **options}


def spelled(values):
    """JSON has no infinities and no NaN."""
    values = np.asarray(values)
    dtype = "int64" if values.dtype.kind in "iu" else "float64"
    numbers = values.reshape(-1).tolist()
    return {"dtype": dtype, "shape": list(values.shape), "data": [x if math.isfinite(x) else word(x) for x in numbers]}


def word(x):
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def write(framework, cases):
    lines = ",\n".join(json.dumps(one, separators=(",", ":"), allow_nan=False) for one in cases)
    folder = FOLDER / "presets"
    folder.mkdir(exist_ok=True)
    (folder / f"{framework}.json").write_text(f"[\n{lines}\n]\n")
    print(framework, len(cases), "cases")
