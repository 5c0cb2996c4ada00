"""The client itself: traced losses, offline work, refusals, retries, threads."""

import json
import logging
import math
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import lossd
from lossd import _cache, _kernel

P = np.array([1.0, 5.0], np.float32)
T = np.array([1.0, 2.0], np.float32)
DEAD = "http://127.0.0.1:9"


class TestTraced:
    def test_a_function_becomes_a_formula(self, client):
        @lossd.loss
        def cauchy(predictions, targets, scale=2.0):
            """Robust."""
            return lossd.log1p(((predictions - targets) / scale) ** 2)

        assert cauchy.formula == "log1p(((predictions - targets) / scale)^2)"
        assert cauchy.__doc__ == "Robust."
        for mode in ("local", "remote"):
            cauchy.mode = mode
            value, gradient = cauchy.value_and_gradient(np.array([1.0, 5.0]), np.array([0.0, 0.0]))
            assert value == pytest.approx((math.log1p(0.25) + math.log1p(6.25)) / 2)
            assert gradient == pytest.approx([0.2, 5 / 29])
            narrower = cauchy.evaluate(np.array([1.0]), np.array([0.0]), params={"scale": 1.0})
            assert narrower.loss == pytest.approx(math.log(2))

    def test_axes_have_names(self, client):
        @lossd.loss(axes={"logits": "rows,classes", "label": "rows,classes"})
        def soft(logits, label):
            return -lossd.sum(label * lossd.log_softmax(logits, axis="classes"), axis="classes")

        logits = np.random.default_rng(0).normal(size=(4, 3))
        label = np.full((4, 3), 1 / 3)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        assert soft(logits, label) == pytest.approx(-(label * log_p).sum(1).mean())

    @pytest.mark.parametrize(
        "expression, formula",
        [
            (lambda x, y: x - (y - 1), "x - (y - 1)"),
            (lambda x, y: (x - y) - 1, "x - y - 1"),
            (lambda x, y: x / (y * 2), "x / (y * 2)"),
            (lambda x, y: -(x**2), "-x^2"),
            (lambda x, y: (-x) ** 2, "(-x)^2"),
            (lambda x, y: 2**x, "2^x"),
            (lambda x, y: abs(x) ** -0.5, "abs(x)^(-0.5)"),
            (lambda x, y: lossd.where((x < y) & ~(x == 0), x, 1 - y), "x < y and not (x == 0) ? x : 1 - y"),
            (lambda x, y: lossd.where(x < 0, 1, 2) * y, "(x < 0 ? 1 : 2) * y"),
            (lambda x, y: lossd.max(x, 0) + lossd.exp(1.0), f"max(x, 0) + {math.e!r}"),
            (lambda x, y: np.float32(0.5) * x, "0.5 * x"),
        ],
    )
    def test_operators_bind_as_in_python(self, client, expression, formula):
        made = lossd.loss(lambda x, y: expression(x, y) + 0 * y)
        assert made.formula == (f"{formula} + 0 * y" if "?" not in formula or formula.startswith("(") else f"({formula}) + 0 * y")
        x, y = np.array([0.25, 2.0]), np.array([0.5, 1.5])
        plain = _numpy(expression, x, y)
        made.reduction = "none"
        np.testing.assert_allclose(made(x, y), plain, rtol=1e-12)

    @pytest.mark.parametrize(
        "function, words",
        [
            (lambda x, y: x if x > y else y, "an if over a tensor"),
            (lambda x, y: sum(one for one in x), "a loop over a tensor"),
            (lambda x, y: math.exp(x) + y, "a function of plain numbers"),
            (lambda x, y: np.exp(x) + y, "foreign call|attribute"),
            (lambda x, y: x[0] + y, "an index"),
            (lambda x, y: x.mean() + y, "the attribute mean"),
            (lambda x, y: lossd.softmax(x), "softmax needs axis"),
            (lambda x, y: x + "y", "neither a tensor nor a number"),
            (lambda x, y: 1.0, "does not depend on its inputs"),
        ],
    )
    def test_refuses_what_no_formula_can_say_with_the_line(self, client, function, words):
        with pytest.raises(lossd.TraceError, match=words) as caught:
            lossd.loss(function)
        assert "depend" in words or "test_client.py, line" in str(caught.value)


def _numpy(expression, x, y):
    """The same expression on plain numbers."""

    class Numbers(np.ndarray):
        def __invert__(self):
            return np.logical_not(np.asarray(self))

    own = {"where": np.where, "max": np.maximum, "exp": np.exp}
    saved = {name: getattr(lossd, name) for name in own}
    for name, function in own.items():
        setattr(lossd, name, function)
    try:
        return expression(x, y) + 0 * y
    finally:
        for name, function in saved.items():
            setattr(lossd, name, function)


class TestLocal:
    def test_works_without_the_service_once_a_kernel_is_here(self, client):
        lossd.Loss("huber", mode="local", client=client)(P, T)
        offline = lossd.Client(DEAD, cache=client.cache.folder, retries=0, timeout=0.5)
        for mode in ("local", "auto"):
            loss = lossd.Loss("huber", mode=mode, client=offline, delta=2.0)
            assert loss(P[:1], T[:1]) == 0
            value, gradient = loss.value_and_gradient(P, T)
            assert value == 2 and gradient.tolist() == [0, 1]

    @pytest.mark.parametrize(
        "name, args, params, code, pointer, words",
        [
            ("huber", (P, np.zeros(3, np.float32)), {}, "shape-mismatch", "/targets", "has shape [3], but predictions has [2]; inputs are not broadcast"),
            ("huber", (P, T), {"delta": -1.0}, "param-invalid", "/params/delta", "must be a number > 0, got -1"),
            ("huber", (P, T), {"delta": 1e-50}, "param-invalid", "/params/delta", "must fit into float32, got 1e-50; or send float64 inputs"),
            ("cross_entropy", (np.zeros((2, 3), np.float32), np.array([0, 3], np.int32)), {}, "label-out-of-range", "/targets/1", "must be an integer from 0 to 2 (or -100, which is ignored), got 3"),
            ("cross_entropy", (np.zeros((2, 3), np.float32), np.array([0, 2**40])), {}, "invalid-value", "/targets", f"element 1 must be an integer from -2147483648 to 2147483647, got {2**40}"),
            ("cross_entropy", (np.zeros((2, 3), np.float32), np.zeros(3, np.int32)), {}, "shape-mismatch", "/targets", "has 3 rows, but predictions has 2"),
            ("binary_cross_entropy", (np.array([1.25, 0.1], np.float32), T * 0), {}, "invalid-value", "/predictions/0", "must be in [0, 1], got 1.25"),
        ],
    )
    def test_refuses_offline_in_the_words_of_the_service(self, client, name, args, params, code, pointer, words):
        right = {"huber": (P, T), "cross_entropy": (np.zeros((2, 3), np.float32), np.zeros(2, args[1].dtype)), "binary_cross_entropy": (P * 0, T * 0)}
        lossd.Loss(name, mode="local", client=client)(*right[name])
        offline = lossd.Client(DEAD, cache=client.cache.folder, retries=0)
        with pytest.raises(lossd.InvalidRequest) as local:
            lossd.Loss(name, mode="local", client=offline, params=params)(*args)
        with pytest.raises(lossd.InvalidRequest) as remote:
            lossd.Loss(name, mode="remote", client=client, params=params)(*args)
        assert (local.value.code, local.value.pointer) == (code, pointer)
        assert words in local.value.detail
        assert local.value.detail == remote.value.detail

    def test_refuses_a_kernel_whose_bytes_have_changed(self, client, tmp_path):
        own = lossd.Client(client.url, cache=tmp_path)
        lossd.Loss("huber", mode="local", client=own)(P, T)
        (file,) = (tmp_path / "kernels").iterdir()
        file.write_bytes(file.read_bytes()[:-1] + b"!")
        with pytest.raises(lossd.KernelRejected, match="has the hash"):
            lossd.Loss("huber", mode="local", client=lossd.Client(client.url, cache=tmp_path))(P, T)

    def test_says_what_to_install_for_another_abi(self):
        with pytest.raises(lossd.AbiMismatch, match="pip install --upgrade lossd"):
            _kernel.check_abi({"abi": _kernel.ABI + 1})

    def test_computes_in_several_threads(self, client):
        loss = lossd.Loss("cross_entropy", mode="local", client=client)
        rng = np.random.default_rng(0)
        cases = [(rng.normal(size=(rows, 7)).astype(np.float32), rng.integers(0, 7, rows)) for rows in range(1, 40)]
        want = [loss.value_and_gradient(*case) for case in cases]
        failures = []

        def work():
            for case, (value, gradient) in zip(cases, want):
                got = loss.value_and_gradient(*case)
                if got[0] != value or not (got[1] == gradient).all():
                    failures.append(case)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_takes_a_parameter_that_changes_between_steps(self, client):
        loss = lossd.Loss("huber", mode="local", client=client, delta=1.0)
        values = []
        for delta in (1.0, 1.0, 2.0, 2.0, 0.5):
            loss.params["delta"] = delta
            values.append(float(loss.value_and_gradient(P, T)[0]))
        assert values == [1.25, 1.25, 2, 2, 0.6875]

    def test_notices_other_shapes_dtypes_and_inputs_in_a_loop(self, client):
        loss = lossd.Loss("huber", mode="local", client=client)
        for dtype, rows in [("f4", 2), ("f4", 2), ("f8", 2), ("f4", 3), ("f4", 3), ("f4", 2), ("f2", 2)]:
            p, t = np.full(rows, 3, dtype), np.zeros(rows, dtype)
            value, gradient = loss.value_and_gradient(p, t)
            assert value == 2.5 and gradient.dtype == np.dtype(dtype)
            np.testing.assert_allclose(gradient, np.full(rows, 1 / rows), rtol=1e-3)
        with pytest.raises(lossd.InvalidRequest):
            loss.value_and_gradient(p, np.zeros(5, "f4"))
        strided = np.arange(8, dtype="f4")[::2]
        assert loss.value_and_gradient(strided, strided)[0] == 0


class Flaky(BaseHTTPRequestHandler):
    """Answers 503 as often as it is told to, and then with a problem or a body."""

    left = 0
    seen: list = []
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        type(self).seen.append(dict(self.headers))
        if type(self).left > 0:
            type(self).left -= 1
            body = json.dumps({"type": "urn:lossd:problem:draining", "title": "t", "detail": "d", "errors": [], "retryable": True}).encode()
            self.send_response(503)
            self.send_header("retry-after", "0")
        else:
            body = b'{"losses": []}'
            self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def flaky():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Flaky.seen = []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class TestRemote:
    def test_repeats_what_the_service_refuses_for_the_moment_and_logs_it(self, flaky, caplog):
        Flaky.left = 2
        with caplog.at_level(logging.WARNING, "lossd"):
            assert lossd.Client(flaky).catalog() == []
        assert len(Flaky.seen) == 3
        assert len([r for r in caplog.records if "status 503" in r.getMessage()]) == 2

    def test_gives_up_after_the_retries_that_are_allowed(self, flaky):
        Flaky.left = 99
        with pytest.raises(lossd.ServiceFailed) as caught:
            lossd.Client(flaky, retries=2).catalog()
        assert (caught.value.code, caught.value.retryable, len(Flaky.seen)) == ("draining", True, 3)

    def test_sends_its_key_its_trace_and_its_deadline(self, flaky):
        Flaky.left = 0
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        lossd.Client(flaky, api_key="secret", traceparent=trace, timeout=5).catalog()
        (headers,) = [{name.lower(): value for name, value in seen.items()} for seen in Flaky.seen]
        assert headers["authorization"] == "Bearer secret"
        assert headers["traceparent"] == trace
        assert 4000 < int(headers["x-request-timeout-ms"]) <= 5000

    def test_raises_where_there_is_no_service(self):
        with pytest.raises(lossd.ServiceUnreachable, match="cannot be reached"):
            lossd.Loss("huber", mode="remote", client=lossd.Client(DEAD, retries=1))(P, T)

    def test_raises_after_its_deadline(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            started = time.monotonic()
            with pytest.raises(lossd.DeadlineExceeded):
                lossd.Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3).catalog()
            assert time.monotonic() - started < 2

    def test_keeps_its_connection(self, client):
        loss = lossd.Loss("huber", mode="remote", client=client)
        loss(P, T)
        before = list(client._transport._idle)
        for _ in range(5):
            loss(P, T)
        assert client._transport._idle == before

    def test_has_the_rest_of_the_service(self, client):
        assert {"huber", "cross_entropy"} <= {one["name"] for one in client.catalog()}
        assert client.describe("mae")["name"] == "l1"
        assert "def huber" in client.source("huber", "numpy")
        values, members = client.compose(
            [{"loss": "mse", "weight": 0.5}, {"loss": "l1"}], {"predictions": P, "targets": T}, gradients=["predictions"]
        )
        assert values["loss"] == pytest.approx(0.5 * 4.5 + 1.5)
        assert len(members["terms"]) == 2
        with pytest.raises(lossd.UnknownLoss, match="Did you mean"):
            client.describe("hubr")


class TestNumbers:
    @pytest.mark.parametrize(
        "number, text",
        [(1.0, "1"), (-0.0, "0"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-7, "1e-7"), (1.5e-6, "0.0000015"), (123456.789, "123456.789"), (math.inf, "Infinity"), (math.nan, "NaN")],
    )
    def test_are_spelled_as_in_the_messages_of_the_service(self, number, text):
        from lossd._numbers import spelled

        assert spelled(number) == text

    def test_are_short_in_float32(self):
        from lossd._numbers import spelled

        assert spelled(np.float32(1.2)) == "1.2"
        assert spelled(np.float32(1.1)) == "1.1"


class TestAuto:
    def test_computes_here_what_is_faster_here(self, client):
        loss = lossd.Loss("huber", client=client)
        places = [loss.evaluate(P, T).where for _ in range(20)]
        assert places[-5:] == ["local"] * 5

    def test_asks_the_service_for_what_has_no_kernel(self, client):
        lines = ["x0 = p", *(f"x{i + 1} = log1p(x{i}) * exp(x{i} * y)" for i in range(70)), "x70"]
        axes = {"p": "rows,classes", "y": "rows,classes"}
        p = np.ones((2, 3), np.float32)
        loss = lossd.Loss(formula=lines, axes=axes, inputs=["p", "y"], client=client)
        for _ in range(2):
            assert loss.evaluate(p, -p).where == "remote"
        with pytest.raises(lossd.KernelUnavailable, match="the limit is"):
            lossd.Loss(formula=lines, axes=axes, inputs=["p", "y"], client=client, mode="local")(p, -p)


def test_a_folder_that_cannot_be_written_to_is_only_slower(client, caplog):
    own = lossd.Client(client.url, cache="/proc/nowhere")
    assert lossd.Loss("huber", mode="local", client=own)(P, T) == 1.25
    assert "kernels are not kept" in caplog.text
    assert isinstance(own.cache, _cache.KernelCache)
