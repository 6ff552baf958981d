"""The ceiling of HBase: batched mutateRowsTs calls of one send's cells through happybase, and nothing else.

Argument: {"host", "port", "table", "rows": [[[family:qualifier in hex, value in hex], ...], ...], "width",
"connections", "seconds"}. A send is one row mutation for each of `rows`; `width` sends share a call for each of them,
as both copies of a message go in calls of their own. Prints {"sends", "cpu_s", "wall_s"}.
"""

import itertools
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import happybase
from happybase.batch import BatchMutation, Mutation


def write(config: dict[str, Any], numbers: "itertools.count[int]", stop_s: float) -> int:
    connection = happybase.Connection(config["host"], config["port"], timeout=30_000)
    client, table = connection.client, config["table"].encode()
    copies = [[(bytes.fromhex(c), bytes.fromhex(v)) for c, v in row] for row in config["rows"]]
    sends = 0
    while time.monotonic() < stop_s:
        first = next(numbers) * config["width"]
        for copy, cells in enumerate(copies):
            batch = []
            for number in range(first, first + config["width"]):
                row = b"%04x/bench%d/%d" % (number * 2654435761 % 4096, copy, number)
                batch.append(BatchMutation(row, [Mutation(column=column, value=value) for column, value in cells]))
            client.mutateRowsTs(table, batch, time.time_ns() // 1_000_000, {})
        sends += config["width"]
    connection.close()
    return sends


def main(config: dict[str, Any]) -> None:
    numbers = itertools.count()
    began_s, cpu_s = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(config["connections"]) as threads:
        stop_s = began_s + config["seconds"]
        writers = [threads.submit(write, config, numbers, stop_s) for _ in range(config["connections"])]
        sends = sum(writer.result() for writer in writers)
    figures = {"sends": sends, "cpu_s": time.process_time() - cpu_s, "wall_s": time.monotonic() - began_s}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
