"""JAX, Keras, XGBoost, LightGBM and scikit-learn, each held to its own losses."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lossd


@pytest.fixture(params=["local", "remote"])
def mode(request, client):
    return request.param


def iris():
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_iris()
    return ((data.data - data.data.mean(0)) / data.data.std(0)).astype(np.float32), data.target.astype(np.int32)


class TestJax:
    @pytest.fixture(autouse=True)
    def here(self):
        pytest.importorskip("jax")

    def test_differentiates_within_jit(self, mode):
        import jax
        import jax.numpy as jnp

        x, y = iris()
        loss = lossd.jax.loss("cross_entropy", mode=mode)

        def own(logits, labels):
            return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])

        def trained(loss):
            step = jax.jit(lambda w: w - 0.5 * jax.grad(lambda w: loss(x @ w, y))(w))
            w = jnp.zeros((4, 3))
            for _ in range(50):
                w = step(w)
            return np.asarray(w)

        np.testing.assert_allclose(trained(loss), trained(own), atol=1e-5)

    def test_maps_over_batches(self, mode):
        import jax
        import jax.numpy as jnp

        p, t = jnp.arange(12.0).reshape(3, 4), jnp.ones((3, 4))
        loss = lossd.jax.loss("huber", mode=mode, delta=2.0)
        want = jnp.stack([loss(a, b) for a, b in zip(p, t)])
        np.testing.assert_array_equal(jax.vmap(loss)(p, t), want)
        gradients = jax.vmap(jax.grad(loss))(p, t)
        np.testing.assert_array_equal(gradients, jnp.stack([jax.grad(loss)(a, b) for a, b in zip(p, t)]))

    def test_pulls_back_the_cotangent_of_unreduced_values(self, mode):
        import jax
        import jax.numpy as jnp

        p, t, u = (jnp.asarray(np.random.default_rng(i).normal(size=(5, 2)), jnp.float32) for i in range(3))
        loss = lossd.jax.loss("mse", mode=mode, reduction="none")
        got = jax.grad(lambda p, t: (u * loss(p, t)).sum(), argnums=(0, 1))(p, t)
        np.testing.assert_allclose(got[0], 2 * (p - t) * u, rtol=1e-6)
        np.testing.assert_allclose(got[1], -2 * (p - t) * u, rtol=1e-6)

    def test_passes_the_check_of_gradients(self, client):
        from jax.test_util import check_grads

        p, t = np.linspace(-2, 2, 6).astype(np.float32), np.zeros(6, np.float32)
        check_grads(lossd.jax.loss("log_cosh", mode="local"), (p, t), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)


KERAS = """
import sys, numpy as np, keras, lossd
from sklearn.datasets import load_iris
data = load_iris()
x = ((data.data - data.data.mean(0)) / data.data.std(0)).astype("float32")
y = np.eye(3, dtype="float32")[data.target]

def trained(loss):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="zeros", activation="softmax")])
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=loss)
    model.fit(x, y, batch_size=150, epochs=20, verbose=0, sample_weight=np.linspace(0, 1, 150).astype("float32"))
    return keras.ops.convert_to_numpy(model.layers[0].kernel)

own = keras.losses.CategoricalCrossentropy()
got, want = trained(lossd.keras.Loss("cross_entropy_from_probs", mode=sys.argv[1])), trained(own)
assert np.abs(want).max() > 0.1
np.testing.assert_allclose(got, want, atol=1e-5)
print("equal")
"""


@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_keras_trains_to_the_weights_of_its_own_loss(backend, mode, client):
    for package in ("keras", "sklearn", backend):
        pytest.importorskip(package)
    variables = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "LOSSD_URL": client.url,
        "LOSSD_CACHE": str(client.cache.folder),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    run = subprocess.run([sys.executable, "-c", KERAS, mode], env=variables, capture_output=True, text=True)
    assert run.stdout.endswith("equal\n"), run.stderr[-3000:]


class TestXgboost:
    @pytest.fixture(autouse=True)
    def here(self):
        pytest.importorskip("xgboost")

    def test_grows_the_trees_of_the_built_in_objective(self, mode):
        import xgboost

        x, y = iris()
        data = xgboost.DMatrix(x, (y == 1).astype(np.float32))
        params = {"max_depth": 3, "eta": 0.3, "base_score": 0.5, "seed": 0}
        built_in = xgboost.train({**params, "objective": "binary:logistic"}, data, 10)
        objective = lossd.xgboost.objective("binary_cross_entropy_with_logits", mode=mode, hessian_floor=1e-16)
        # A custom objective's base score is a margin: 0 is the probability 1/2.
        own = xgboost.train({**params, "base_score": 0.0}, data, 10, obj=objective)
        got, want = (b.predict(data, output_margin=True) for b in (own, built_in))
        np.testing.assert_allclose(got, want, atol=1e-5)

    def test_takes_several_classes(self, mode):
        import xgboost

        x, y = iris()
        data = xgboost.DMatrix(x, y)
        params = {"max_depth": 2, "eta": 0.3, "num_class": 3, "base_score": 0.0, "seed": 0}
        objective = lossd.xgboost.objective("cross_entropy", mode=mode, hessian_floor=1e-6)
        own = xgboost.train(params, data, 10, obj=objective)
        assert (own.predict(data, output_margin=True).argmax(1) == y).mean() > 0.95

    def test_finds_the_best_constant(self, mode):
        y = np.array([0, 0, 0, 1], np.float32)
        assert lossd.xgboost.init_score("binary_cross_entropy_with_logits", y, mode=mode) == pytest.approx(-np.log(3), abs=1e-6)


class TestLightgbm:
    @pytest.fixture(autouse=True)
    def here(self):
        pytest.importorskip("lightgbm")

    PARAMS = {"num_leaves": 7, "learning_rate": 0.3, "min_data_in_leaf": 5, "verbose": -1, "seed": 0, "num_threads": 1}

    def test_grows_the_trees_of_the_built_in_objective(self, mode):
        import lightgbm

        x, y = iris()
        labels = (y == 1).astype(np.float32)
        built_in = lightgbm.train({**self.PARAMS, "objective": "binary"}, lightgbm.Dataset(x, labels), 10)
        start = lossd.lightgbm.init_score("binary_cross_entropy_with_logits", labels, mode=mode)
        objective = lossd.lightgbm.objective("binary_cross_entropy_with_logits", mode=mode)
        data = lightgbm.Dataset(x, labels, init_score=np.full(len(labels), start))
        own = lightgbm.train({**self.PARAMS, "objective": objective}, data, 10)
        np.testing.assert_allclose(own.predict(x) + start, built_in.predict(x, raw_score=True), atol=1e-4)

    def test_takes_several_classes(self, mode):
        import lightgbm

        x, y = iris()
        objective = lossd.lightgbm.objective("cross_entropy", mode=mode, hessian_floor=1e-6)
        own = lightgbm.train({**self.PARAMS, "objective": objective, "num_class": 3}, lightgbm.Dataset(x, y), 10)
        assert (own.predict(x).argmax(1) == y).mean() > 0.95


class TestSklearn:
    def test_scores_a_regression(self, mode):
        linear_model = pytest.importorskip("sklearn.linear_model")
        from sklearn.model_selection import cross_val_score

        x, y = iris()
        got = cross_val_score(linear_model.Ridge(), x[:, :3], x[:, 3], scoring=lossd.sklearn.scorer("mse", mode=mode))
        want = cross_val_score(linear_model.Ridge(), x[:, :3], x[:, 3], scoring="neg_mean_squared_error")
        np.testing.assert_allclose(got, want, rtol=1e-6)

    def test_scores_a_classification(self, mode):
        linear_model = pytest.importorskip("sklearn.linear_model")
        from sklearn.model_selection import cross_val_score

        x, y = iris()
        names = np.array(["setosa", "versicolor", "virginica"])[y]
        scorer = lossd.sklearn.scorer("nll", mode=mode, response="predict_log_proba")
        got = cross_val_score(linear_model.LogisticRegression(), x, names, scoring=scorer)
        want = cross_val_score(linear_model.LogisticRegression(), x, names, scoring="neg_log_loss")
        np.testing.assert_allclose(got, want, rtol=1e-6)
