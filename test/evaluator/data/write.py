"""Writes the files of this folder, with PyArrow: ``python write.py``."""

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

here = Path(__file__).parent
days = [datetime.date(2026, 1, 1 + i) for i in range(5)]
times = [datetime.datetime(2026, 1, 1, 12, 30, i, 250_000 * (i % 2)) for i in range(5)]
table = pa.table(
    {
        "float64": pa.array([1.5, None, -2.25, 0.0, 1e300, 5.0], pa.float64()),
        "float32": pa.array([1.5, 2.5, None, 0.0, 1.0, 5.0], pa.float32()),
        "float16": pa.array([1.5, 2.5, 3.0, 0.0, 1.0, None], pa.float16()),
        "int8": pa.array([1, -2, 3, None, 5, -128], pa.int8()),
        "uint64": pa.array([1, 2, 3, 4, 5, None], pa.uint64()),
        "bool": pa.array([True, None, False, True, True, False]),
        "text": pa.array(["a", "", None, "süß", "日本", "x" * 100]),
        "large_text": pa.array(["a", None, "c", "d", "e", "f"], pa.large_string()),
        "category": pa.array(["north", "east", None, "north", "süd", "east"]).dictionary_encode(),
        "date": pa.array([*days, None], pa.date32()),
        "time": pa.array([*times, None], pa.timestamp("us")),
        "list": pa.array([[1.0, 2.0], [], None, [3.0], [4.0, 5.0, 6.0], [7.0]], pa.list_(pa.float64())),
        "fixed": pa.array([[1, 2], [3, 4], None, [5, 6], [7, 8], [9, 10]], pa.list_(pa.int32(), 2)),
        "struct": pa.array([{"a": 1}] * 6),
        "decimal": pa.array([None] * 6, pa.decimal128(10, 2)),
        "null": pa.nulls(6),
        "last": pa.array([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], pa.float64()),
    }
)
batches = table.to_batches(max_chunksize=4)


def write(name, opened, **options):
    with opened(str(here / name), table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)


write("plain.arrow", ipc.new_file)
write("lz4.arrow", ipc.new_file, compression="lz4")
write("zstd.arrow", ipc.new_file, compression="zstd")
write("plain.arrows", ipc.new_stream)


def number(x):
    """As DuckDB prints a double."""
    if x is None:
        return None
    text = repr(float(x))
    return text.replace("e+", "e+") if "e" in text else text


def shown(name, value):
    if value is None or name in ("struct", "decimal", "null"):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(number(x) for x in value)}]"
    if isinstance(value, datetime.datetime):
        text = str(value)
        return text.rstrip("0") if "." in text else text
    return str(value) if isinstance(value, (str, datetime.date)) else number(value)


rows = [{name: shown(name, value) for name, value in row.items()} for row in table.to_pylist()]
(here / "rows.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")

# Parquet with data pages of version 2, which DuckDB reads but does not write: several small pages for each column.
count = 500
few = pa.array([i % 7 - 3 for i in range(count)], pa.int32())
pages = pa.table(
    {
        "y": pa.array([i / 7 for i in range(count)], pa.float64()),
        "y_hat": pa.array([None if i % 9 == 4 else i / 8 for i in range(count)], pa.float64()),
        "only_nulls": pa.nulls(count, pa.float32()),
        "float": pa.array([i * i / 3 for i in range(count)], pa.float32()),
        "few": few,
        "big": pa.array([i * 90071992547 - 5 for i in range(count)], pa.int64()),
        "flag": pa.array([None if i % 5 == 0 else i % 3 == 0 for i in range(count)]),
        "text": pa.array([["north", "süd", "", None][i % 4] for i in range(count)]),
        "texts": pa.array([f"x{i}" for i in range(count)]),
        "list": pa.array([[i, i / 2, 1.5] for i in range(count)], pa.list_(pa.float64())),
        "odd_list": pa.array(
            [[None, [], [1.0], [1.0, None, 3.0], [i, 2.0, 3.0]][i % 5] for i in range(count)],
            pa.list_(pa.float32()),
        ),
    },
)
for codec in ["none", "snappy", "gzip", "zstd"]:
    pq.write_table(
        pages,
        here / f"pages-2-{codec}.parquet",
        data_page_version="2.0",
        compression=codec,
        data_page_size=1024,
        write_batch_size=64,
        row_group_size=300,
        use_dictionary=["few", "text"],
        write_statistics=False,
    )

# Lists that go on in the next page, as PyArrow writes them in pages of version 1 without an index (here: version 14).
lists = pa.table(
    {
        "target": pa.array([i % 3 for i in range(count)], pa.int64()),
        "list": pa.array([[i, i / 2, 1.5] for i in range(count)], pa.list_(pa.float64())),
        "few": pa.array([[i % 7, 2, i % 3] for i in range(count)], pa.list_(pa.float32())),
        "odd": pa.array(
            [[None, [], [1.0], [1.0, None, 3.0], [i, 2.0, 3.0], [2.0] * 300][i % 6] for i in range(count)],
            pa.list_(pa.float64()),
        ),
    },
)
pq.write_table(
    lists,
    here / "lists-over-pages.parquet",
    data_page_size=512,
    write_batch_size=50,
    use_dictionary=["few.list.element", "odd.list.element"],
    write_statistics=False,
)
