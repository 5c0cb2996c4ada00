"""Where ``auto`` computes, beside the times of both places, as JSON lines: ``npm run bench:clients`` runs this."""

import json
import time

import numpy as np

import lossd


def best(loss, predictions, targets):
    times = []
    for _ in range(20):
        started = time.perf_counter()
        loss.value_and_gradient(predictions, targets)
        times.append(time.perf_counter() - started)
    return min(times) * 1e6


def main():
    rng = np.random.default_rng(0)
    places = {mode: lossd.Loss("cross_entropy", mode=mode) for mode in ("local", "remote")}
    auto = lossd.Loss("cross_entropy")
    for exponent in range(20):
        rows = int(2 ** (exponent * 0.75))
        predictions, targets = rng.normal(size=(rows, 100)).astype(np.float32), rng.integers(0, 100, rows)
        for _ in range(10):
            chosen = auto.evaluate(predictions, targets).where
        times = {mode: best(loss, predictions, targets) for mode, loss in places.items()}
        print(json.dumps({"size": rows, **times, "chosen": chosen}), flush=True)


main()
