"""Exchanges with text a second into SQLite on one core: ours beside Python's sqlite3, same tables, same durability, same batches.

usage: ingest.py RECORDS_INGEST [FOLDER]
"""

import os
import sqlite3
import subprocess
import sys
import time

COUNT, BATCH, TEXT = 50_000, 250, 600


def peer(folder: str) -> float:
    path = os.path.join(folder, "records-ingest-peer.db")
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    ours = sqlite3.connect(os.path.join(folder, "records-ingest.db"))
    make = [row[0] for row in ours.execute("SELECT sql FROM sqlite_master WHERE tbl_name IN ('exchanges', 'feedback') AND sql IS NOT NULL")]
    columns = [row[1] for row in ours.execute("PRAGMA table_info(exchanges)")]
    ours.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    for sql in make:
        db.execute(sql)
    text = ("what is said goes on " * (TEXT // 21 + 1))[:TEXT]
    given = {"source": "push", "endpoint": "chat", "model": "m", "variant": "", "outcome": "ok", "status": 200, "finish_reason": "stop",
             "stream": 1, "input_tokens": 150, "output_tokens": 150, "estimated": 0, "time_to_first_token_ms": 80.0, "duration_ms": 2500.0,
             "prompt": text, "response": text, "prompt_truncated": 0, "response_truncated": 0}
    sql = f"INSERT INTO exchanges ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) ON CONFLICT DO NOTHING"
    join = "UPDATE feedback SET model = ?, variant = ? WHERE model IS NULL AND target IN (?, ?)"
    began = time.perf_counter()
    for start in range(0, COUNT, BATCH):
        db.execute("BEGIN IMMEDIATE")
        for number in range(start, start + BATCH):
            row = {**given, "id": f"chatcmpl-{number:08}", "started_ms": 1_790_000_000_000 + number}
            db.execute(sql, [row.get(column) for column in columns])
            db.execute(join, ("m", "", row["id"], row["id"]))
        db.execute("COMMIT")
    return COUNT / (time.perf_counter() - began)


def main() -> None:
    program, folder = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "target"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for run in range(3):
        ours = float(subprocess.run([program, folder], check=True, capture_output=True, text=True).stdout)
        theirs = peer(folder)
        print(f"run {run + 1}: plimsoll {ours:.0f}/s, Python's sqlite3 {theirs:.0f}/s, ratio {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
