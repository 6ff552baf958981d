"""`python -m bench.long`: cost against size, and memory over minutes; about twenty-five minutes.

sizes       the same fetches over 100 to 1,000,000 of everything (bench/long/sizes.py)
churn       memory: many mailboxes touched, then sends and fetches all over them (bench/long/churn.py)
"""

from collections.abc import Sequence
from pathlib import Path

import click

from bench.long import sizes
from bench.long.churn import churn
from bench.output.part import Part
from bench.run import run

LENGTHS, NUMBERS = (100, 10_000, 1_000_000), (10, 1_000, 100_000)
MAILBOXES = (1_000, 10_000, 100_000, 1_000_000)
CHURNED = 100_000


@click.command
@click.option("--turns", default=5, show_default=True, help="How often each size has its turn.")
@click.option("--seconds", default=0.4, show_default=True, help="Length of a turn of one kind of fetch.")
@click.option("--messages", multiple=True, default=LENGTHS, show_default=True, help="Lengths of conversations.")
@click.option("--conversations", multiple=True, default=NUMBERS, show_default=True, help="Conversations of a mailbox.")
@click.option("--mailboxes", multiple=True, default=MAILBOXES, show_default=True, help="Mailboxes in a store.")
@click.option("--churned", default=CHURNED, show_default=True, help="Mailboxes that are churned.")
@click.option("--minutes", default=10.0, show_default=True, help="How long they are.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the stores lie meanwhile; on a disk (3 GB).")
@click.option("--write/--no-write", default=True, show_default=True, help="Whether docs/benchmarks.md gets the output.")
def main(
    turns: int,
    seconds: float,
    messages: Sequence[int],
    conversations: Sequence[int],
    mailboxes: Sequence[int],
    churned: int,
    minutes: float,
    folder: Path | None,
    *,
    write: bool,
) -> None:
    """Measure what size costs and how memory behaves, print the numbers and write docs/benchmarks.md."""

    async def measure(place: Path) -> list[Part]:
        shown = sizes.cases(messages, conversations, mailboxes)
        to_churn = sizes.cases((), (), (churned,))
        await sizes.fill_all(place, list(dict.fromkeys([*shown, *to_churn])))
        return [
            await sizes.sizes(place, shown, turns, seconds),
            await churn(sizes.folder_of(place, to_churn[0]), churned, 60 * minutes),
        ]

    run("bench-long", measure, folder, write=write)


if __name__ == "__main__":
    main()
