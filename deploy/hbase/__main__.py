"""The command `python3 -m deploy.hbase VERB`, in the repository's root; `make hbase-up` and `hbase-down` call it."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from deploy.hbase import jars
from deploy.hbase.cluster import GRACE_S, Cluster, locked
from deploy.hbase.errors import ClusterError
from deploy.hbase.layout import PORTS, PROTOCOLS, TRANSPORTS, Layout

DEFAULT_DIR = Path("hbase-data")
UP_TIMEOUT_S = 120.0


def main() -> int:
    """Runs a verb. Returns the exit code: 0 where it is done, 1 after a ClusterError or where the cluster does not
    answer. Wrong usage exits with 2.
    """
    options = _parser().parse_args()
    try:
        return int(options.run(options) or 0)
    except ClusterError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


# ---------------------------------------------------------------------- what the verbs do


def _up(options: argparse.Namespace) -> Cluster:
    wishes = {field.name: getattr(options, field.name) for field in fields(Layout)}
    with locked(options.dir):
        cluster = Cluster.make(options.dir, {name: wish for name, wish in wishes.items() if wish is not None})
        cluster.start(cluster.processes)
        cluster.wait_until_ready(options.timeout)
    return cluster


def _up_and_leave(options: argparse.Namespace) -> None:
    cluster = _up(options)
    url = cluster.layout.url("rowbox")
    print(f"HBase is ready: {url} (Thrift2: port {cluster.layout.thrift2_port}; data and logs: {cluster.folder})")
    for line in _settings(cluster.layout):
        print(line)
    print(f"Next:  .venv/bin/rowbox schema apply --store {url}")
    print(f'       make serve args="--store {url}"')


def _settings(layout: Layout) -> list[str]:
    """Lines with the settings that Rowbox needs for gateways whose transport or protocol is not its default."""
    new = Layout()
    return [
        f"First: export ROWBOX_HBASE_{name.upper()}={getattr(layout, name)}"
        for name in ("transport", "protocol")
        if getattr(layout, name) != getattr(new, name)
    ]


def _up_and_stay(options: argparse.Namespace) -> None:
    """The verb `run`, for a container. It ends all processes politely at a signal, and when any of them ends."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        cluster = _up(options)
        print(f"HBase is ready: Thrift1 on port {cluster.layout.port_base}", flush=True)
        while True:
            cluster.require_all_running()
            time.sleep(1)
    finally:
        with locked(options.dir):
            Cluster.open(options.dir).stop()


def _down(options: argparse.Namespace) -> None:
    with locked(options.dir):
        Cluster.open(options.dir).stop(0.0 if options.now else GRACE_S)


def _status(options: argparse.Namespace) -> int:
    cluster = Cluster.open(options.dir)
    statuses = cluster.status()
    if options.json:
        layout = cluster.layout
        ports = {
            "gatewayPorts": layout.gateway_ports,
            "infoPorts": layout.info_ports,
            "thrift2Port": layout.thrift2_port,
            "transport": layout.transport,
            "protocol": layout.protocol,
        }
        print(json.dumps({**ports, "processes": [status._asdict() for status in statuses]}))
    else:
        for name, pid, port, answers in statuses:
            state = "answers" if answers else "does not answer" if pid else "does not run"
            print(f"{name:16} port {port:<6} pid {pid or '-':<8} {state}")
    return 0 if all(status.answers for status in statuses) else 1


def _jars(_: argparse.Namespace) -> None:
    print(jars.resolve())


def _start(options: argparse.Namespace) -> None:
    with locked(options.dir):
        cluster = Cluster.open(options.dir)
        cluster.start([cluster.process(options.name)])


def _kill(options: argparse.Namespace) -> None:
    Cluster.open(options.dir).process(options.name).kill()


def _signal(number: signal.Signals) -> Callable[[argparse.Namespace], None]:
    return lambda options: Cluster.open(options.dir).process(options.name).send(number)


# ---------------------------------------------------------------------- what they are called


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m deploy.hbase", description="A real HBase on this machine.")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], object], text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        verb.set_defaults(run=run)
        verb.add_argument("--dir", type=Path, default=DEFAULT_DIR, help=f"the cluster's folder [{DEFAULT_DIR}]")
        return verb

    _add_wishes(add("up", _up_and_leave, "start what does not run, and wait until tables can be listed"))
    _add_wishes(add("run", _up_and_stay, "the same, and stay in the foreground; end with any of the processes"))
    down = add("down", _down, f"stop everything; what does not end within {GRACE_S:.0f} s is killed; the data stay")
    down.add_argument("--now", action="store_true", help="kill at once; what was confirmed stays as well")
    status = add("status", _status, "say what runs, where, and whether it answers; exit with 1 unless all do")
    status.add_argument("--json", action="store_true", help="for programs")
    add("jars", _jars, "only resolve the jars")
    for name, run, text in (
        ("start", _start, "start one process; do not wait for it"),
        ("kill", _kill, "kill one process, as a crash would"),
        ("pause", _signal(signal.SIGSTOP), "stop one process where it stands"),
        ("resume", _signal(signal.SIGCONT), "let a paused process go on"),
    ):
        add(name, run, text).add_argument("name", help="as `status` prints it")
    return parser


def _add_wishes(verb: argparse.ArgumentParser) -> None:
    """Adds the flags of the layout's fields. They have no defaults, so that fields which are not given stay as they
    were.
    """
    new = Layout()

    def wish(flag: str, text: str, **options: object) -> None:
        default = getattr(new, flag.removeprefix("--").replace("-", "_"))
        verb.add_argument(flag, help=f"{text} [as it was, or {default}]", **options)  # type: ignore[arg-type]

    wish("--region-servers", "2: each a process of its own", type=int, choices=(1, 2))
    wish("--gateways", "Thrift1 gateways", type=int, choices=(1, 2))
    wish("--port-base", f"first of {PORTS} ports; 0: any that are free", type=int, metavar="N")
    wish("--listen", "address of the gateways, which ask for no password", metavar="ADDRESS")
    wish("--transport", "of the Thrift1 gateways", choices=TRANSPORTS)
    wish("--protocol", "of the Thrift1 gateways", choices=PROTOCOLS)
    wish("--heap-mb", "of each master and region server", type=int, metavar="MB")
    wish("--gateway-heap-mb", "of each gateway", type=int, metavar="MB")
    give_up = f"seconds after which it gives up [{UP_TIMEOUT_S:.0f}]"
    verb.add_argument("--timeout", type=float, default=UP_TIMEOUT_S, metavar="S", help=give_up)


if __name__ == "__main__":
    sys.exit(main())
