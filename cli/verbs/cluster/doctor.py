"""What `rowbox doctor` looks at where servers share the mailboxes: what they have in common, and each of them.

Nothing is disturbed by it. The cluster's row is read a few times, as `rowbox cluster status` does, and each server that
the map lists is called once at its peer address: a link is made, under a name of the doctor's own, and closed again.
"""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.routing.redis_hints import why_silent
from rowbox.cacheserver.rpc.endpoint import Tls, parse_endpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.shardmap.desk import Desk, Seen
from rowbox.cacheserver.shardmap.overview import MOST_APART_US, SILENT
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cli.secret import cluster_secret
from rowbox.cli.serving.cluster.peers import MAP, cluster_tls, number_of
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.cli.verbs.cluster.screen import verdict
from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State, judged
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import duration
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import ClusterSettings, Settings

ANSWER_S: Final = 5.0
"""How long a server may take to answer."""
AT_ONCE: Final = 16
SOON_DAYS: Final = 30
"""Before a certificate ends: time enough to replace it on all servers, one after the other."""
_SECONDS_PER_DAY: Final = 86_400


class _Means(NamedTuple):
    """What calling a server takes."""

    secret: bytes
    tls: Tls | None


async def examine_servers(settings: Settings) -> list[Diagnosis]:
    """A line for each thing. It is not to be asked of a store whose table is not Rowbox's."""
    logging.getLogger("rowbox").addHandler(logging.NullHandler())  # what links log is said in the findings
    found: list[Diagnosis] = []
    means = _examine_files(settings, found)
    if settings.cluster.redis_url:
        found.append(await _examine_redis(settings.cluster.redis_url))
    try:
        async with opened_desk(settings, "doctor") as desk:
            seen = await desk.look_twice()
            read_us = wall_clock_us()
            found += _examine_map(desk, seen)
            found += _examine_clocks(desk, seen, read_us, settings.lease.beat_ms)
            if means is not None:
                found += [one async for one in _examine_peers(settings.cluster, means, desk, seen)]
    except RowboxError as error:
        found.append(Diagnosis(State.WRONG, "servers", f"the cluster's row cannot be read: {error}"))
    return found


# ---------------------------------------------------------------------- this machine


def _examine_files(settings: Settings, found: list[Diagnosis]) -> _Means | None:
    """Examines the secret and the certificate. None: with these settings no server can be called."""
    cluster = settings.cluster
    if not cluster.secret_file:
        if cluster.peer_listen or cluster.tls_certificate:
            text = "none is given (cluster.secret_file), so the other servers can neither be called nor call this one"
            found.append(Diagnosis(State.WRONG, "cluster secret", text))
        return None
    try:
        secret = cluster_secret(settings)
    except RowboxError as error:
        found.append(Diagnosis(State.WRONG, "cluster secret", str(error)))
        return None
    found.append(Diagnosis(State.OK, "cluster secret", f"{cluster.secret_file}: {len(secret)} bytes, closed to others"))
    try:
        tls = cluster_tls(cluster)
    except RowboxError as error:
        found.append(Diagnosis(State.WRONG, "cluster TLS", str(error)))
        return None
    if tls is not None:
        found.append(examine_certificate(tls, cluster, time.time()))
    return _Means(secret, tls)


def examine_certificate(tls: Tls, cluster: ClusterSettings, now_s: float) -> Diagnosis:
    """Whether another server would take this one's certificate: this process shakes hands with itself."""
    subject = f"cluster TLS by {Path(cluster.tls_certificate).name}"
    try:
        certificate = _shaken_hands(tls)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        text = f"no other server takes this certificate, by {cluster.tls_authority}: {why}"
        return Diagnosis(State.WRONG, subject, text)
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - now_s) / _SECONDS_PER_DAY
    return judged(
        well=days > SOON_DAYS,
        subject=subject,
        finding=f"signed by {cluster.tls_authority}, ends in {days:.0f} days ({certificate['notAfter']})",
        advice="replace the file and restart, server by server, before it ends",
    )


def _shaken_hands(tls: Tls) -> dict[str, Any]:
    """The certificate as its peer sees it. ssl.SSLError: it is not taken."""
    to_caller, to_listener = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = tls.calling.wrap_bio(to_caller, to_listener)
    listener = tls.listening.wrap_bio(to_listener, to_caller, server_side=True)
    for _ in range(4):  # a handshake of TLS 1.3 takes two turns
        for side in (caller, listener):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate: dict[str, Any] | None = caller.getpeercert()
    assert certificate, "both sides are made to ask for a certificate"
    return certificate


async def _examine_redis(url: str) -> Diagnosis:
    why = await why_silent(url)
    text = f"no answer ({why}): servers hear of a newer map a beat later, and nothing else depends on it"
    return Diagnosis(State.WRONG, "redis", text) if why else Diagnosis(State.OK, "redis", "answers")


# ---------------------------------------------------------------------- the cluster's row


def _examine_map(desk: Desk, seen: Seen) -> Iterable[Diagnosis]:
    if not seen.row.cells and not seen.map.version:
        yield Diagnosis(State.OK, "servers", "no server has joined the cluster yet")
        return
    overview = desk.overview(seen)
    if not overview.wrong:
        yield Diagnosis(State.OK, "servers", verdict(overview).plain)
    for sentence in overview.wrong:
        yield Diagnosis(State.WRONG, "servers", sentence)


def _examine_clocks(desk: Desk, seen: Seen, read_us: int, beat_ms: int) -> Iterator[Diagnosis]:
    """Compares the clock of each server that beats with this machine's: a cell tells the time of its last beat."""
    silent = {node.incarnation for node in desk.overview(seen).nodes if node.state == SILENT}
    cells = [cell for cell in seen.row.cells.values() if not cell.has_ended and cell.incarnation not in silent]
    told = [cell for cell in cells if cell.clock_us]
    apart = []
    for cell in told:
        behind_us = read_us - cell.clock_us
        if not -MOST_APART_US < behind_us < MOST_APART_US + beat_ms * 1000:
            way = "behind" if behind_us > 0 else "ahead of"
            apart.append(f"{cell.node_id or cell.address} is about {duration(abs(behind_us))} {way} this machine")
    if apart:
        yield Diagnosis(State.WRONG, "clocks of servers", f"{'; '.join(apart)}: set them, or this one's")
    elif told:
        text = f"{len(told)} are within {MOST_APART_US // US_PER_S} s of this machine's"
        yield Diagnosis(State.OK, "clocks of servers", text)


# ---------------------------------------------------------------------- the servers


async def _examine_peers(cluster: ClusterSettings, means: _Means, desk: Desk, seen: Seen) -> AsyncIterator[Diagnosis]:
    """Calls each server of the map, a few at a time, in the order of their names."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def examined(node: ListedNode) -> Diagnosis:
        async with turns:
            return await _examine_peer(cluster, means, desk, node)

    nodes = sorted(seen.map.nodes, key=lambda node: node.node_id)
    for one in await asyncio.gather(*[examined(node) for node in nodes if node.peer]):
        yield one
    if silent := [node.node_id for node in nodes if not node.peer]:
        with_address = len(nodes) - len(silent)
        text = f"{', '.join(silent)} can be called by nobody: give cluster.peer_listen to all servers or to none"
        if with_address:
            yield Diagnosis(State.WRONG, "peer addresses", text)


async def _examine_peer(cluster: ClusterSettings, means: _Means, desk: Desk, node: ListedNode) -> Diagnosis:
    subject = f"server {node.node_id} at {node.peer}"
    try:
        endpoint = parse_endpoint(node.peer, means.tls)
    except ValueError as error:
        return Diagnosis(State.WRONG, subject, f"{error}: see its cluster.peer_address")
    me = Identity(cluster.name, f"doctor-{secrets.token_hex(8)}")
    heard = asyncio.Event()
    peer = Peer(
        endpoint,
        me,
        means.secret,
        expects=node.incarnation,
        on_published=lambda kind, _: heard.set() if kind == MAP else None,
    )
    began_s, standing = time.monotonic(), 0
    peer.start()
    try:
        async with asyncio.timeout(ANSWER_S):
            await peer.up()
            took_ms = (time.monotonic() - began_s) * 1000
            standing = (await desk.look()).map.version
            while number_of(peer.published.get(MAP)) < standing:
                heard.clear()
                await heard.wait()
    except TimeoutError:
        if peer.is_up:
            knows = number_of(peer.published.get(MAP))
            return Diagnosis(State.WRONG, subject, f"goes by version {knows} of the map, and {standing} stands")
        return Diagnosis(State.WRONG, subject, _why(peer, node))
    finally:
        await peer.close()
    return Diagnosis(State.OK, subject, f"knows the secret, and version {standing} of the map ({took_ms:.0f} ms)")


def _why(peer: Peer, node: ListedNode) -> str:
    advice = {
        "proof": "its cluster.secret_file or this one's has another secret",
        "cluster": "its cluster.name is another one than here",
        "incarnation": f"another server than {node.node_id} listens there, or it was restarted just now",
        "unreachable": "does it listen there, and may this machine reach the port?",
    }
    return f"{peer.why_not}: {advice.get(peer.reason, 'see its log')}"
