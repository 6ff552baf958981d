"""metrics.md: every metric, as servers expose it, with the alerts that go by it."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.telemetry.metrics import Metrics
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.routing.map_watch import MapWatch
from rowbox.cacheserver.rpc.handshake import SHORTEST_SECRET
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.shardmap.map_store import Standing
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.files.beside import LastBackup, note_backup
from rowbox.cacheserver.stores.hbase.counters import Counters, gateway_samples
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.settings.config import ClusterSettings
from tests.cluster.servers import owner_and_other, servers
from tests.house.reference.page import code, table
from tests.integration.support.server_process import ServerProcess
from tests.support.virtual_time import run_virtual

ALERTS: Final = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yml"
RULES: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
NAME: Final = re.compile(r"\b(?:rowbox|process)_[a-z0-9_]+")
STORES: Final = ("embedded", "HBase")
SUBJECTS: Final[Mapping[str, str]] = {
    "http": r"rowbox_http_",
    "sockets": r"rowbox_sockets?_",
    "tokens": r"rowbox_auth_",
    "writes": r"rowbox_(commands?|commits?|sends?|unknown|cells)_",
    "mailboxes": r"rowbox_(mailbox|mailboxes|cache|load|folding|fences|waiters|followers|follow|fetches)(_|$)"
    "|rowbox_erasures?(_|$)",
    "presence": r"rowbox_(presence|ephemeral|typing)_",
    "search": r"rowbox_search(es)?_",
    "push": r"rowbox_push(es)?_",
    "deliveries": r"rowbox_(deliver|senders|outbox|receipts)",
    "store": r"rowbox_(store|last_backup)_(?!ranges|probes)",
    "cluster": r"rowbox_(is_owner|shards|map|reaches|takeovers|missed|gateway|moves?|handed|store_(ranges|probes))_?",
    "routing": r"rowbox_(router|redis)_",
    "links": r"rowbox_links?(_|$)",
    "clock": r"rowbox_clock_",
    "background": r"rowbox_(background|disappeared)_",
    "process": r"process_|rowbox_build_info|rowbox_api_process|rowbox_owner_cpu_",
}
"""What the page's tables are about, and which names belong there."""
_TOLD: Final = frozenset(
    {"reason", "keys", "lane", "link", "loop", "side", "went", "kind", "direction", "way", "outcome"}
)
"""Labels whose values the page explains, each one."""


class Family(NamedTuple):
    """A metric as it is exposed. `labels` have the values that were seen; `where` are the stores that have it."""

    name: str
    kind: str
    help: str
    labels: Mapping[str, frozenset[str]]
    where: frozenset[str]

    @property
    def series(self) -> frozenset[str]:
        """The names that a query may ask for."""
        ends = ("_bucket", "_count", "_sum") if self.kind == "histogram" else ("",)
        return frozenset(f"{self.name}{end}" for end in ends)


Families = Mapping[str, Family]


def exposed(folder: Path) -> Families:
    """What servers expose, by name; `folder` takes their data. Processes are started: see `scraped`."""
    of_embedded, of_hbase = asyncio.run(scraped(folder))
    by_store = ([of_embedded], [of_hbase, of_an_owner_over_hbase()])
    return _together(dict(zip(STORES, by_store, strict=True)))


async def scraped(folder: Path) -> tuple[str, str]:
    """What two servers answer on /metrics: one over the embedded store, which has had a request and a backup, and one
    that waits for its HBase. Each has an API process, with which it counts as much as one without, and more.
    """
    (folder / "embedded").mkdir(0o700)
    note_backup(folder / "embedded" / "store", LastBackup(1_795_782_018_708_414, "/backups/today"))
    one = {"ROWBOX_SERVER_API_PROCESSES": "1"}
    nowhere = ServerProcess(folder / "hbase", one | {"ROWBOX_STORE_URL": "hbase://127.0.0.1:1/nowhere"})
    async with ServerProcess(folder / "embedded", one) as embedded, nowhere.unstarted():
        await embedded.client("alice").send("bob", "hello", "first")
        await nowhere.launch()
        port = (await nowhere.line(r"health and metrics on port (\d+)"))[1]
        return await _page(embedded.admin_url), await _page(f"http://127.0.0.1:{port}")


async def _page(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        return await answer.text()


def of_an_owner_over_hbase() -> str:
    """What a server adds to that once its HBase has answered and it owns the mailboxes: taken from a node over a store
    in memory, and for the gateways as the counters stand before the first call.
    """
    samples = [*run_virtual(_of_a_node()), *run_virtual(_of_a_router()), *gateway_samples(Counters())]
    return Metrics(HttpCounters(), [lambda: samples]).render().decode()


async def _of_a_node() -> list[Sample]:
    time = TrustedTime()
    async with servers() as all_of_them:
        await time.begin(CellMemory(all_of_them.store))
        owner, _ = await owner_and_other(all_of_them)
        return [*owner.node.samples(), *time.samples()]


async def _of_a_router() -> list[Sample]:
    settings = ClusterSettings(redis_url="redis://127.0.0.1:1/0")
    routing, view = Routing(settings, bytes(SHORTEST_SECRET), MapView(), str), MapView()
    return [*routing.samples(), *MapWatch(NoMaps(), view, 1.0).samples()]


class NoMaps:
    """Where no map stands."""

    async def read(self) -> Standing:
        raise NotImplementedError


def _together(texts: Mapping[str, Iterable[str]]) -> Families:
    found: dict[str, Family] = {}
    for where, several in texts.items():
        for family in (_family(metric, where) for text in several for metric in text_string_to_metric_families(text)):
            other = found.get(family.name, family)
            names = dict.fromkeys([*other.labels, *family.labels])
            labels = {
                name: other.labels.get(name, frozenset()) | family.labels.get(name, frozenset()) for name in names
            }
            found[family.name] = other._replace(labels=labels, where=other.where | family.where)
    return found


def _family(metric: Metric, where: str) -> Family:
    labels: dict[str, frozenset[str]] = {}
    for sample in metric.samples:
        for label, value in sample.labels.items():
            labels[label] = labels.get(label, frozenset()) | {value}
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return Family(name, metric.type, metric.documentation, labels, frozenset({where}))


def parts(families: Families) -> dict[str, str]:
    head = ("metric", "type", "unit", "labels", "store", "meaning", "alerts")
    by_subject = {subject: [*_about(subject, families)] for subject in SUBJECTS}
    return {
        **{subject: table(head, map(_row, of)) for subject, of in by_subject.items()},
        "alerts": table(("alert", "severity", "after", "says"), map(_alert_row, RULES)),
    }


def _about(subject: str, families: Families) -> Iterator[Family]:
    """The metrics of one table. ValueError for one that belongs into no table, or into two."""
    for family in families.values():
        subjects = [name for name, pattern in SUBJECTS.items() if re.match(pattern, family.name)]
        if len(subjects) != 1:
            msg = f"{family.name} belongs to {subjects or 'no table'}: see SUBJECTS"
            raise ValueError(msg)
        if subjects == [subject]:
            yield family


def _row(family: Family) -> tuple[str, ...]:
    names = ", ".join(map(code, family.labels))
    where = "" if len(family.where) == len(STORES) else " ".join(family.where)
    alerts = [f"[{rule['alert']}](#alerts)" for rule in RULES if family.series & set(NAME.findall(rule["expr"]))]
    return code(family.name), family.kind, _unit(family.name), names, where, family.help, ", ".join(alerts)


def _unit(name: str) -> str:
    units = {"_timestamp_seconds": "Unix time in seconds", "_seconds": "seconds", "_bytes": "bytes"}
    return next((unit for end, unit in units.items() if name.removesuffix("_total").endswith(end)), "")


def unexplained(families: Families, page: str) -> set[str]:
    """Labels that the page does not explain, and values of those whose values it explains, each as code."""
    told = {code(label) for family in families.values() for label in family.labels}
    told |= {code(value) for family in families.values() for label in _TOLD for value in family.labels.get(label, ())}
    section = page.partition("## Labels\n")[2].partition("\n## ")[0]
    return {name for name in told if name not in section}


def _alert_row(rule: Mapping[str, Any]) -> tuple[str, ...]:
    summary = re.sub(r"\{\{ *\$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", rule["annotations"]["summary"])
    return rule["alert"], rule["labels"]["severity"], rule["for"], summary
