"""Writes functions/beta.json and functions/angle.json: lbeta and atan2 with their first derivatives, and the second ones
of lbeta, at float32 numbers, by mpmath with 60 digits.

python -m venv venv && venv/bin/pip install mpmath && venv/bin/python beta_and_angle.py
"""

import json
import random
import struct
from pathlib import Path

import mpmath as mp

FOLDER = Path(__file__).parent.parent / "functions"

mp.mp.dps = 60
random.seed(11)


def rounded(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def spread(low, high):
    """Numbers of every size."""
    return rounded(10.0 ** random.uniform(low, high))


def pairs():
    for _ in range(120):
        yield spread(-12, 12), spread(-12, 12)
    for _ in range(120):
        yield spread(-3, 3), spread(-3, 3)
    for _ in range(60):
        yield rounded(random.uniform(0, 20)), rounded(random.uniform(0, 20))
    for edge in (7.999, 8, 8.001):
        for other in (1e-6, 0.5, 1, 3, 7.999, 8, 8.001, 1000):
            yield rounded(edge), rounded(other)
    yield from [(1, 1), (1, 2), (2, 1), (0.5, 0.5), (1e-30, 1e-30), (1e30, 1e30), (1e-30, 1e30), (1, 1e7)]


def beta_row(a, b):
    x, y = mp.mpf(a), mp.mpf(b)
    value = mp.loggamma(x) + mp.loggamma(y) - mp.loggamma(x + y)
    slopes = [mp.psi(n, z) - mp.psi(n, x + y) for n in (0, 1) for z in (x, y)]
    return [a, b, float(value), *map(float, slopes)]


def points():
    for _ in range(200):
        yield (random.choice((-1, 1)) * spread(-18, 18) for _ in range(2))
    for _ in range(200):
        yield (rounded(random.uniform(-3, 3)) for _ in range(2))
    near = (1, 1 + 2.0**-23, 1 - 2.0**-24)
    yield from ((s * a, t * b) for a in near for b in near for s in (-1, 1) for t in (-1, 1))


def angle_row(y, x):
    v, u = mp.mpf(y), mp.mpf(x)
    square = u * u + v * v
    return [y, x, float(mp.atan2(v, u)), float(u / square), float(-v / square)]


def write(name, rows):
    lines = (json.dumps(row, allow_nan=False) for row in rows)
    (FOLDER / name).write_text("[\n" + ",\n".join(lines) + "\n]\n")


mp.mp.dps = 120
write("beta.json", [beta_row(a, b) for a, b in pairs()])
mp.mp.dps = 60
write("angle.json", [angle_row(*point) for point in points()])
