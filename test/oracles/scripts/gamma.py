"""Writes functions/gamma.json: ln |gamma| and its derivatives at float32 numbers, by mpmath with 60 digits.

python -m venv venv && venv/bin/pip install mpmath && venv/bin/python gamma.py
"""

import json
import random
import struct
from pathlib import Path

import mpmath as mp

FILE = Path(__file__).parent.parent / "functions" / "gamma.json"
ORDERS = 5
ZEROS = (1, 2, mp.findroot(mp.digamma, mp.mpf("1.4616321449683623")))

mp.mp.dps = 60
random.seed(7)


def rounded(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def beside(x, steps):
    """The float32 that is this many steps further."""
    bits = struct.unpack("i", struct.pack("f", float(x)))[0]
    return struct.unpack("f", struct.pack("i", bits + steps))[0]


def positives():
    yield from (rounded(random.uniform(1, 10) * 10.0**e) for e in range(-30, 30))
    yield from (rounded(random.uniform(0, 4)) for _ in range(60))
    yield from (rounded(random.uniform(0, 40)) for _ in range(40))
    for zero in ZEROS:
        yield from (beside(zero, steps) for steps in (-1000, -30, -3, -2, -1, 0, 1, 2, 3, 30, 1000))
        yield from (rounded(zero * (1 + d)) for d in (-0.1, -0.01, -0.001, 0.001, 0.01, 0.1))
    for edge in (1, 3):
        yield from (beside(edge, steps) for steps in (-1, 0, 1))


def negatives():
    yield from (rounded(-random.uniform(1, 10) * 10.0**e) for e in range(-30, 0, 3))
    yield from (rounded(-random.uniform(0, 12)) for _ in range(60))
    yield from (rounded(-random.uniform(0, 300)) for _ in range(30))
    yield from (rounded(-whole + d) for whole in (1, 2, 7) for d in (-1e-4, 1e-4, 1e-2, 0.5))


def log_gamma(x):
    if x > 0:
        return mp.loggamma(x)
    return mp.log(mp.pi / abs(mp.sinpi(x))) - mp.loggamma(1 - x)


def row(x):
    exact = mp.mpf(x)
    return [x, float(log_gamma(exact)), *(float(mp.psi(n, exact)) for n in range(ORDERS))]


numbers = [*sorted(set(positives())), *sorted(x for x in set(negatives()) if x != int(x))]
FILE.parent.mkdir(exist_ok=True)
lines = (json.dumps(row(x), allow_nan=False) for x in numbers)
FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")
