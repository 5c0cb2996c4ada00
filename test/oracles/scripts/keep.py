"""Adds cases to a file of reference values that holds others already."""

import json

from cases import FOLDER, write


def add(name, made):
    """Cases with the same id are replaced, all others stay."""
    file = FOLDER / f"{name}.json"
    there = json.loads(file.read_text()) if file.exists() else []
    write(name, [one for one in there if one["id"] not in {new["id"] for new in made}] + made)
