"""Writes reference cases in the format of test/oracles (biome then lays them out): exact float32 inputs, float64 results."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent


def rng(seed):
    return np.random.default_rng(seed)


def exact(values):
    """float64 numbers that are exactly representable in float32."""
    return np.asarray(values, np.float32).astype(np.float64)


def case(name, source, loss, inputs, params=None, differentiable=("predictions",)):
    """One case computed by a torch function of float64 tensors. The gradients are those of the mean."""
    import torch  # not above: what draws inputs alone runs beside other frameworks

    tensors = {key: torch.tensor(value) for key, value in inputs.items()}
    for key in differentiable:
        tensors[key].requires_grad_(True)
    none = loss(**tensors, **(params or {}))
    none.mean().backward()
    return from_numbers(name, source, none.detach().numpy(), {key: tensors[key].grad.numpy() for key in differentiable}, inputs, params)


def from_numbers(name, source, none, gradients, inputs, params=None):
    """One case from unreduced values and the gradients of their mean."""
    shape = "x".join(map(str, inputs["predictions"].shape))
    words = "".join(f"/{key}={value}" for key, value in (params or {}).items())
    expected = {"none": tensor(none), "mean": float(none.mean()), "sum": float(none.sum())}
    expected |= {"gradients": {key: tensor(value) for key, value in gradients.items()}, "gradients_of": "mean"}
    inputs = {key: tensor(value) for key, value in inputs.items()}
    return {"id": f"{name}/{shape}{words}", "loss": name, "source": source, "params": params or {}, "inputs": inputs, "expected": expected}


def tensor(array):
    array = np.asarray(array)
    dtype = "int64" if array.dtype.kind in "iu" else "float64"
    return {"dtype": dtype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def write(name, cases):
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases)
    (FOLDER / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def inputs_of(name):
    """The inputs of the existing cases, to compute their results again."""
    cases = json.loads((FOLDER / f"{name}.json").read_text())
    arrays = [{key: np.array(t["data"], t["dtype"]).reshape(t["shape"]) for key, t in one["inputs"].items()} for one in cases]
    return arrays
