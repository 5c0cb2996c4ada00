"""Translates queries into the dialect of DuckDB with sqlglot. Reads a dialect and its queries as JSON, prints a list."""

import json
import sys

import sqlglot

given = json.load(sys.stdin)
raising = {"error_level": sqlglot.ErrorLevel.RAISE, "unsupported_level": sqlglot.ErrorLevel.RAISE}
json.dump([sqlglot.transpile(text, read=given["dialect"], write="duckdb", **raising)[0] for text in given["queries"]], sys.stdout)
