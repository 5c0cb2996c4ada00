"""Spark and Ray in local mode beside the single process: ``lossd evaluate`` of the same rows, equal to 1e-12."""

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lossd
from lossd._evaluation import BadRows, Plan, State, _hash_of_text, _Random, _Sketch, _text_of, summarize

ROOT = Path(__file__).resolve().parents[3]
ROWS = 20_000


def table():
    """Rows with everything: two models, keys of all types, weights, clusters, classes."""
    random = np.random.default_rng(7)
    y = random.normal(size=ROWS)
    return {
        "y": y,
        "a": y + random.normal(size=ROWS) * 0.5,
        "b": y + random.normal(size=ROWS) * 0.45,
        "w": random.random(ROWS),
        "key": random.integers(0, 7, ROWS),
        "region": np.array(["north", "east", "süd", None], dtype=object)[random.integers(0, 4, ROWS)],
        "person": random.integers(0, 900, ROWS),
        "logits": [list(row) for row in random.normal(size=(ROWS, 3))],
        "label": random.integers(0, 3, ROWS),
        "p": random.random(ROWS),
        "q": random.random(ROWS),
    }


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table({name: pa.array(own) for name, own in table().items()}), path, row_group_size=3000)
    return path


CASES = {
    "means": (dict(losses=["huber", "l1"], predictions="a", targets="y"), []),
    "slices": (dict(losses="mse", predictions="a", targets="y", by=["key", "region"]), ["--by", "key,region"]),
    "weights": (dict(losses="l1", predictions="a", targets="y", weight="w", by="region"), ["--weight", "w", "--by", "region"]),
    "models": (dict(losses="huber", targets="y", compare=["a", "b"], by="key"), ["--compare", "a,b", "--by", "key"]),
    "classes": (dict(losses="cross_entropy", predictions="logits", targets="label", by="key"), ["--by", "key"]),
    "columns": (dict(losses="mse", predictions=["p", "q"], targets=["q", "p"]), []),
    "clusters": (
        dict(losses="l1", targets="y", compare=["a", "b"], by="region", weight="w", cluster="person", bootstrap=60, seed=5),
        ["--compare", "a,b", "--by", "region", "--weight", "w", "--cluster", "person", "--bootstrap", "60", "--seed", "5"],
    ),
}


def command(path, options, more):
    """What the single process says. The service's sources are beside this package."""
    losses = [options["losses"]] if isinstance(options["losses"], str) else options["losses"]
    args = [part for loss in losses for part in ("--loss", loss)]
    for name in ("predictions", "targets"):
        if name in options:
            own = options[name]
            args += [f"--{name}", own if isinstance(own, str) else ",".join(own)]
    line = ["node", "--import", "tsx", "src/cli.ts", "evaluate", str(path), *args, *more, "--json", "--road", "kernels"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("LOSSD_")}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected(parquet):
    known = {}

    def find(name):
        if name not in known:
            options, more = CASES[name]
            known[name] = command(parquet, options, more)
        return known[name]

    return find


def numbers(value, path=""):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return [(path, value)]
    if isinstance(value, (int, float)):
        return [(path, float(value))]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for name, own in items for pair in numbers(own, f"{path}/{name}")]


def without(estimate, weight=True):
    left_out = ("quantiles", "distribution", "worst", *(() if weight else ("weight",)))
    return {name: own for name, own in estimate.items() if name not in left_out}


def plain(answer):
    """Without what is only computed in one place: there, labels may have a weight of their own, which is 1 here."""
    has = "weight" in answer
    reports = [
        {**without(report), "overall": without(report["overall"], has), "slices": [without(own, has) for own in report["slices"]]}
        for kind in ("losses", "comparisons")
        for report in answer[kind]
    ]
    return {"rows": answer["rows"], "used": answer["used"], "reports": reports}


def assert_close(answer, other):
    own, theirs = numbers(plain(answer)), numbers(plain(other))
    assert [path for path, _ in own] == [path for path, _ in theirs]
    for (path, a), (_, b) in zip(own, theirs):
        if isinstance(a, float) and isinstance(b, float):
            assert abs(a - b) <= 1e-12 * max(1.0, abs(b)), (path, a, b)
        else:
            assert a == b, path


def state_of(options, rows, batches=4):
    plan = Plan.make(**options)
    plan.prepare({name: own[:16] for name, own in rows.items()})
    steps = np.linspace(0, ROWS, batches + 1).astype(int)
    states = []
    for start, end in zip(steps, steps[1:]):
        sent = pickle.loads(pickle.dumps(plan))
        states.append(sent.evaluate([{name: own[start:end] for name, own in rows.items()}]))
    total = pickle.loads(pickle.dumps(states[0]))
    for state in states[1:]:
        total.merge(pickle.loads(pickle.dumps(state)))
    return total


@pytest.mark.parametrize("name", CASES)
def test_states_add_up_to_what_the_single_process_says(name, expected):
    options, _ = CASES[name]
    assert_close(summarize(state_of(options, table())), expected(name))


def test_states_do_not_depend_on_the_parts_to_1e_12():
    options, _ = CASES["clusters"]
    assert_close(summarize(state_of(options, table(), 1)), summarize(state_of(options, table(), 9)))


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[2]").appName("lossd")
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "4")
    try:
        session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    except Exception as error:  # There is no Java.
        pytest.skip(f"Spark does not start here: {str(error).splitlines()[0]}")
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=True, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.mark.parametrize("name", CASES)
def test_spark_says_what_the_single_process_says(name, spark, parquet, expected):
    options = dict(CASES[name][0])
    df = spark.read.parquet(str(parquet)).repartition(5)
    assert_close(lossd.spark.evaluate(df, options.pop("losses"), **options), expected(name))


@pytest.mark.parametrize("name", CASES)
def test_ray_says_what_the_single_process_says(name, ray, parquet, expected):
    options = dict(CASES[name][0])
    dataset = ray.data.read_parquet(str(parquet)).repartition(5)
    assert_close(lossd.ray.evaluate(dataset, options.pop("losses"), concurrency=(1, 2), **options), expected(name))


DETAILS = dict(losses="huber", targets="y", compare=["a", "b"], by="region", quantiles=[0.1, 0.5, 0.99], worst=7)
DETAILS_ARGS = ["--compare", "a,b", "--by", "region", "--quantiles", "0.1,0.5,0.99", "--worst", "7"]


def assert_details(answer, other):
    """Quantiles, distributions and the worst rows. A sketch counts, so its numbers are the same ones but for a rounding."""
    assert_close(answer, other)
    rows = table()
    for own, theirs in zip(answer["losses"], other["losses"]):
        found = [(one["overall"]["quantiles"], [part["quantiles"] for part in one["slices"]], one["distribution"]) for one in (own, theirs)]
        for (path, a), (same, b) in zip(numbers(found[0]), numbers(found[1]), strict=True):
            assert path == same and abs(a - b) <= 1e-12 * abs(b), (path, a, b)
        for one, row in zip(own["worst"], theirs["worst"], strict=True):
            assert abs(one["loss"] - row["loss"]) <= 1e-12 * row["loss"]
            assert one["values"]["y"] == rows["y"][row["row"]]
            assert set(one["values"]) == {"y", "a", "b", "region"}
    assert all("quantiles" not in one["overall"] and "worst" not in one for one in answer["comparisons"])


@pytest.fixture(scope="module")
def detailed(parquet):
    return command(parquet, DETAILS, DETAILS_ARGS)


def test_quantiles_and_worst_rows_are_those_of_the_single_process(detailed):
    assert_details(summarize(state_of(DETAILS, table())), detailed)
    assert summarize(state_of(DETAILS, table(), 1))["losses"][0]["worst"] == summarize(state_of(DETAILS, table(), 9))["losses"][0]["worst"]


def test_quantiles_and_worst_rows_in_spark_and_ray(spark, ray, parquet, detailed):
    options = dict(DETAILS)
    losses = options.pop("losses")
    assert_details(lossd.spark.evaluate(spark.read.parquet(str(parquet)).repartition(5), losses, **options), detailed)
    dataset = ray.data.read_parquet(str(parquet)).repartition(5)
    assert_details(lossd.ray.evaluate(dataset, losses, concurrency=(1, 2), **options), detailed)


def test_rows_of_weight_0_count_in_no_interval_extreme_quantile_or_worst_row():
    rows = {"y": [0.0] * 4, "p": [9.0, 2.0, 5.0, 0.0], "w": [0.0, 1.0, 1.0, 0.0], "g": ["a", "a", "b", "b"]}
    plan = Plan.make("l1", predictions="p", targets="y", weight="w", by="g", quantiles=[0.5], worst=4)
    plan.prepare(rows)
    (answer,) = summarize(plan.evaluate([rows]))["losses"]
    overall = answer["overall"]
    assert (overall["rows"], overall["mean"], overall["standard_error"]) == (4, 3.5, 1.5)
    assert (overall["min"], overall["max"], overall["quantiles"]) == (2.0, 5.0, {"0.5": pytest.approx(2, rel=0.004)})
    assert [one["interval"] for one in answer["slices"]] == [None, None]
    assert [one["loss"] for one in answer["worst"]] == [5.0, 2.0]
    assert sum(one["count"] for one in answer["distribution"]) == 2


def test_a_cluster_alone_is_resampled():
    assert Plan.make("l1", cluster="person").bootstrap == 1000


def test_a_sketch_knows_negative_numbers_zeros_and_infinities():
    sketch = _Sketch()
    sketch.add(np.array([-4.0, -1.0, -0.0, 0.0, 5e-324, 1.0, 4.0, math.inf]))
    assert [sketch.quantile(share) for share in (0.3, 0.5, 1.0)] == [0.0, 0.0, math.inf]
    assert abs(sketch.quantile(0.01) + 4) < 0.04
    assert sum(one["count"] for one in sketch.distribution(3)) == 8
    # Infinite numbers are in none of them.
    assert len(sketch.distribution(3)) <= 3 + 1


@pytest.mark.parametrize("options", [dict(quantiles=[0]), dict(quantiles=[0.5, 1]), dict(worst=-1), dict(worst=1001)])
def test_quantiles_and_worst_have_limits(options):
    with pytest.raises(ValueError, match="quantiles are between|worst is from"):
        Plan.make("huber", predictions="a", targets="y", **options)


def bad_rows():
    rows = {"y": [1.0, 2.0, None, 4.0, 5.0], "a": [1.0, math.nan, 3.0, 4.0, 5.0], "k": ["x", "x", "y", "y", "y"]}
    return rows


def test_bad_rows_stop_the_evaluation_or_are_counted(spark, ray):
    import pandas as pd

    rows = bad_rows()
    frames = [
        (lossd.spark.evaluate, spark.createDataFrame(pd.DataFrame(rows).astype({"y": "Float64"}).astype({"y": "float64"}))),
        (lossd.ray.evaluate, ray.data.from_pandas(pd.DataFrame(rows))),
    ]
    for evaluate, frame in frames:
        with pytest.raises(BadRows, match='NaN or null in (y|a); on_bad="skip" leaves'):
            evaluate(frame, "l1", predictions="a", targets="y")
        answer = evaluate(frame, "l1", predictions="a", targets="y", by="k", on_bad="skip")
        assert (answer["rows"], answer["used"], answer["losses"][0]["overall"]["mean"]) == (5, 3, 0.0)
        assert {own["reason"]: own["count"] for own in answer["bad"]} == {"NaN or null in a": 1, "NaN or null in y": 1}
        with pytest.raises(ValueError, match='there is no column "z"; there are y, a, k'):
            evaluate(frame, "l1", predictions="z", targets="y")


def test_labels_out_of_range_are_bad_rows():
    rows = {"logits": [[0.0, 1.0]] * 6, "label": [0, 1, 2, 1, 2, -1]}
    options = dict(losses="cross_entropy", predictions="logits", targets="label")
    plan = Plan.make(**options, on_bad="skip")
    plan.prepare({name: own[:2] for name, own in rows.items()})
    answer = summarize(plan.evaluate([rows]))
    assert (answer["used"], sum(own["count"] for own in answer["bad"])) == (3, 3)
    strict = Plan.make(**options)
    strict.prepare({name: own[:2] for name, own in rows.items()})
    with pytest.raises(BadRows, match="must be an integer from 0 to 1"):
        strict.evaluate([rows])


def test_ignored_labels_are_refused_rather_than_divided_by_something_else():
    rows = {"logits": [[0.0, 1.0]] * 3, "label": [0, 1, -100]}
    plan = Plan.make("cross_entropy", predictions="logits", targets="label")
    plan.prepare({name: own[:2] for name, own in rows.items()})
    with pytest.raises(ValueError, match="divides by a sum of its own"):
        plan.evaluate([rows])


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(losses="l1", bootstrap=10), "bootstrap needs cluster"),
        (dict(losses="l1", cluster="person", bootstrap=0), "bootstrap must be at least 1 with a cluster"),
        (dict(losses="l1", compare=["a"]), "at least two models"),
        (dict(losses="l1", on_bad="ignore"), "on_bad is fail or skip"),
    ],
)
def test_options_that_do_not_fit_together_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        Plan.make(**options)


def test_hashes_and_draws_are_those_of_the_service():
    # From src/evaluation/random.ts.
    script = """
      import { hashOfText, randomWords } from './src/evaluation/random.ts'
      const next = randomWords(5)
      console.log(JSON.stringify([['7', 'süd', '', '日本'].map((t) => hashOfText(t, 3)), Array.from({ length: 20 }, next),
        [1e21, 0.1, 1e-7, 1.5e300, -0.000001, 5e-324, 123456789.125].map(String)]))"""
    line = ["node", "--import", "tsx", "--input-type=module", "-e", script]
    hashes, words, texts = json.loads(subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert [_hash_of_text(text, 3) for text in ("7", "süd", "", "日本")] == hashes
    random = _Random(5)
    assert [random.next() for _ in range(20)] == words
    assert [_text_of(x) for x in (1e21, 0.1, 1e-7, 1.5e300, -0.000001, 5e-324, 123456789.125)] == texts


def test_a_state_of_nothing_is_none():
    assert isinstance(State(Plan.make("l1", predictions="a", targets="y")).series, int)
