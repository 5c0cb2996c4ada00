"""Microseconds of value and gradient or, with ``auto``, where that computes, as JSON lines: ``npm run bench:clients`` runs this."""

import json
import sys
import time

import numpy as np

import lossd

SIZES = ((32, 10), (1024, 10), (1024, 1000))


def best(call, seconds=0.5):
    """The least microseconds of a call: one, or many where the clock does not resolve one."""
    call()
    call()
    started = time.perf_counter()
    call()
    once = time.perf_counter() - started
    times = 1 if once > 50e-6 else 1000
    least, until = once, time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        for _ in range(times):
            call()
        least = min(least, (time.perf_counter() - started) / times)
    return least * 1e6


def report(where, loss, size, microseconds):
    line = {"client": "Python", "where": where, "loss": loss, "rows": size[0], "columns": size[1], "us": microseconds}
    print(json.dumps(line), flush=True)


def torch_own(name, predictions, targets):
    import torch

    torch.set_num_threads(1)
    function = {"huber": torch.nn.functional.huber_loss, "cross_entropy": torch.nn.functional.cross_entropy}[name]
    p, t = torch.tensor(predictions, requires_grad=True), torch.tensor(targets)

    def call():
        p.grad = None
        function(p, t).backward()

    return call


def torch_through(name, predictions, targets, mode):
    import torch

    criterion = lossd.torch.Loss(name, mode=mode)
    p, t = torch.tensor(predictions, requires_grad=True), torch.tensor(targets)

    def call():
        p.grad = None
        criterion(p, t).backward()

    return call


def clients():
    rng = np.random.default_rng(0)
    for size in SIZES:
        predictions = rng.normal(size=size).astype(np.float32)
        for name, targets in (
            ("huber", rng.normal(size=size).astype(np.float32)),
            ("cross_entropy", rng.integers(0, size[1], size[0])),
        ):
            for mode in ("local", "remote"):
                loss = lossd.Loss(name, mode=mode)
                report(mode, name, size, best(lambda: loss.value_and_gradient(predictions, targets)))
            try:
                report("PyTorch's own", name, size, best(torch_own(name, predictions, targets)))
                report("local, as a PyTorch module", name, size, best(torch_through(name, predictions, targets, "local")))
            except ImportError:
                pass


def least_of(calls, loss, predictions, targets):
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        loss.value_and_gradient(predictions, targets)
        times.append(time.perf_counter() - started)
    return min(times) * 1e6


def sweep():
    rng = np.random.default_rng(0)
    places = {mode: lossd.Loss("cross_entropy", mode=mode) for mode in ("local", "remote")}
    auto = lossd.Loss("cross_entropy")
    for exponent in range(20):
        rows = int(2 ** (exponent * 0.75))
        predictions, targets = rng.normal(size=(rows, 100)).astype(np.float32), rng.integers(0, 100, rows)
        for _ in range(10):
            chosen = auto.evaluate(predictions, targets).where
        times = {mode: least_of(20, loss, predictions, targets) for mode, loss in places.items()}
        print(json.dumps({"client": "Python", "size": rows, **times, "chosen": chosen}), flush=True)


sweep() if sys.argv[1:] == ["auto"] else clients()
