"""Runs queries in Spark: reads jobs with their tables as JSON, prints the columns that each query adds."""

import json
import sys

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType


def numbers(text):
    return np.frombuffer(bytes.fromhex(text), dtype=">f8").astype("float64")


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
    columns = {name: numbers(text) for name, text in job["columns"].items()}
    rows = list(zip(range(job["rows"]), *(map(float, values) for values in columns.values())))
    fields = [StructField(name, DoubleType()) for name in ["place", *columns]]
    spark.createDataFrame([(float(row[0]), *row[1:]) for row in rows], StructType(fields)).createOrReplaceTempView("t")
    found = sorted(spark.sql(job["text"]).collect(), key=lambda row: row["place"])
    added = [name for name in found[0].asDict() if name not in ("place", *columns)]
    answers.append({name: np.array([row[name] for row in found], dtype=">f8").tobytes().hex() for name in added})
print("ANSWERS" + json.dumps(answers))
