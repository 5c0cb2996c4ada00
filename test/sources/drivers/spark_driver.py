"""Runs queries in Spark: reads jobs with their tables as JSON, prints the columns that each query adds."""

import json
import sys

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType


def numbers(column):
    """Without the places that are NULL."""
    found = list(map(float, np.frombuffer(bytes.fromhex(column["hex"]), dtype=">f8")))
    for place in column["nulls"]:
        found[place] = None
    return found


def packed(values):
    return {
        "hex": np.array([0.0 if x is None else x for x in values], dtype=">f8").tobytes().hex(),
        "nulls": [place for place, x in enumerate(values) if x is None],
    }


spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.sql.codegen.wholeStage", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
answers = []
for job in json.load(open(sys.argv[1])):
    columns = {name: numbers(column) for name, column in job["columns"].items()}
    rows = list(zip(range(job["rows"]), *columns.values()))
    fields = [StructField(name, DoubleType()) for name in ["place", *columns]]
    spark.createDataFrame([(float(row[0]), *row[1:]) for row in rows], StructType(fields)).createOrReplaceTempView("t")
    query = spark.sql(job["text"])
    found = sorted(query.collect(), key=lambda row: row[0])
    # By their places: a column of the table may have the same name.
    added = list(enumerate(query.columns))[1 + len(columns) :]
    answers.append({name: packed([row[place] for row in found]) for place, name in added})
print("ANSWERS" + json.dumps(answers))
