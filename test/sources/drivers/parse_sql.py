"""Parses queries with sqlglot: those of databases that cannot be run here. Prints what it cannot parse."""

import json
import sys

import sqlglot

for query in json.load(sys.stdin):
    try:
        sqlglot.parse_one(query["text"], read=query["dialect"])
    except sqlglot.errors.ParseError as error:
        print(query["label"], error)
