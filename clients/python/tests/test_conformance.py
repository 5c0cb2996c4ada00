"""The shared vectors, with local kernels and from the service."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import lossd

FOLDER = Path(__file__).resolve().parents[2] / "conformance"
LOSSES = json.loads((FOLDER / "losses.json").read_text())
PROBLEMS = json.loads((FOLDER / "problems.json").read_text())


def array(tensor):
    return np.frombuffer(base64.b64decode(tensor["data"]), tensor["dtype"]).reshape(tensor["shape"]).copy()


def call(loss, case, **more):
    tensors = {name: array(tensor) for name, tensor in case["tensors"].items()}
    options = {name: case[name] for name in ("reduction", "denominator") if name in case}
    return loss.evaluate(**tensors, **options, **more)


def wanted(case, name, dtype):
    return np.frombuffer(base64.b64decode(name), dtype)


def names(cases):
    return [f"{case['loss']}-{place}" for place, case in enumerate(cases)]


@pytest.mark.parametrize("case", LOSSES, ids=names(LOSSES))
@pytest.mark.parametrize("mode", ["local", "remote"])
def test_computes_what_the_service_computes(client, mode, case):
    want = case["want"]
    loss = lossd.Loss(case["loss"], mode=mode, params=case.get("params"), client=client)
    precision = "float64" if any(t["dtype"] == "float64" for t in case["tensors"].values()) else "float32"
    result = call(loss, case, wrt=tuple(want["gradients"]))
    assert result.where == mode
    same = exactly if mode == "local" else nearly
    same(np.asarray(result.loss, want["dtype"]).reshape(-1), wanted(case, want["loss"], want["dtype"]))
    assert result.denominator == pytest.approx(want["denominator"], rel=1e-6)
    assert result.count == want["count"]
    assert set(result.gradients) == set(want["gradients"])
    for name, gradient in result.gradients.items():
        given = case["tensors"][name]
        assert list(gradient.shape) == given["shape"]
        assert gradient.dtype == given["dtype"]
        same(gradient.reshape(-1), wanted(case, want["gradients"][name], precision).astype(given["dtype"]))


def exactly(got, want):
    np.testing.assert_array_equal(got, want, strict=True)


def nearly(got, want):
    # The service may use fused arithmetic, where its machine has it.
    tolerance = 1e-5 if got.dtype == np.float32 else 1e-12
    scale = max(1e-3, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("case", PROBLEMS, ids=names(PROBLEMS))
@pytest.mark.parametrize("mode", ["local", "remote"])
def test_refuses_in_the_same_words(client, mode, case):
    loss = lossd.Loss(case["loss"], mode=mode, params=case.get("params"), client=client)
    with pytest.raises(lossd.InvalidRequest) as caught:
        call(loss, case)
    want = case["problem"]
    assert [caught.value.code, caught.value.pointer, caught.value.detail] == list(want.values())
    assert isinstance(caught.value, ValueError)
