#!/usr/bin/env python3
"""Writes the same 300 rows as JSONL and as Parquet (plain, Snappy, gzip; two row groups) for tests/tests/drift.rs.

python3 -m venv /tmp/v && /tmp/v/bin/pip install pyarrow && /tmp/v/bin/python tests/golden/drift/generate.py
"""
import json
import pathlib
import random

import pyarrow as pa
import pyarrow.parquet as pq

random.seed(1)
HERE = pathlib.Path(__file__).parent
SUBJECTS = ["card", "transfer", "account", "refund", "limit", "address"]
rows = [{
    "tokens": random.randrange(40, 900) if random.random() < 0.95 else None,
    "seconds": round(random.lognormvariate(0, 1), 4),
    "reason": random.choice(["stop"] * 8 + ["length", None]),
    "ok": random.random() < 0.9,
    "prompt": f"can I buy {random.choice(SUBJECTS)} insurance with bitcoin number {at}?",
} for at in range(300)]
(HERE / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
schema = pa.schema([("tokens", pa.int64()), ("seconds", pa.float64()), ("reason", pa.string()), ("ok", pa.bool_()),
                    ("prompt", pa.string())])
table = pa.Table.from_pylist(rows, schema=schema)
for compression in ("none", "snappy", "gzip"):
    pq.write_table(table, HERE / f"rows.{compression}.parquet", compression=compression, row_group_size=170)
