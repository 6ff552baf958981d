"""RocksDB alone: group commits of a send's cells with fsync, one after the other, and nothing else.

Argument: {"folder", "cells": [[family, key in hex, value in hex]], "memtable_bytes", "cache_bytes", "width",
"seconds"}.
`width` sends share a commit. The cells are those of one real send, under other keys of the same length each time.
Prints {"sends", "cpu_s", "wall_s"}.
"""

import json
import sys
import time
from typing import Any

import rocksdict as rocks

from bench.ceilings.rocks import options


def main(config: dict[str, Any]) -> None:
    families = {family: options(config) for family, _, _ in config["cells"]}
    database = rocks.Rdict(config["folder"], options(config), families)
    puts = [(database.get_column_family_handle(f), bytes.fromhex(k), bytes.fromhex(v)) for f, k, v in config["cells"]]
    synced = rocks.WriteOptions()
    synced.sync = True
    number, first = time.time_ns() // 1000, 0
    began_s, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() - began_s < config["seconds"]:
        batch = rocks.WriteBatch(raw_mode=True)
        for _ in range(config["width"]):
            start = b"%08x" % ((number + first) * 2654435761 % 2**32)  # spread over the whole range
            for family, key, value in puts:
                batch.put(start + key[8:], value, family)
            first += 1
        database.write(batch, synced)
    print(json.dumps({"sends": first, "cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - began_s}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
