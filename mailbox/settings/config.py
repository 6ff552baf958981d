"""The settings, and the one loader. A flag wins over a ROWBOX_* variable, that over the TOML file, that over the
default.

Pure: the environment and the file's text are arguments, so that tests need no process. A field's name is the key in the
file, and in capitals the environment variable. Names hold the unit in which the code computes (`_ms`, `bytes`); a value
may be written in any unit ("7d", "64MiB"; units.py). A wrong value or an unknown key stops the start, because a limit
that is silently not set is noticed at the worst moment.
"""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from rowbox.mailbox.settings.setting import Setting, settings_of

MIB = 1 << 20
SECOND_MS = 1_000
DAY_MS = 86_400_000
EMBEDDED: Final = "embedded"
LEAST_CONNECTIONS: Final = 16
LEAST_HELD_BYTES: Final = MIB


class ConfigError(ValueError):
    """A setting cannot be used. The message names it, its value, where that came from, and what is expected."""

    def __init__(self, key: str, value: object, origin: str, expected: str) -> None:
        super().__init__(f"{key} = {value!r} ({origin}): expected {expected}")
        self.key = key
        self.value = value
        self.origin = origin
        self.expected = expected


class ServerSettings(Struct, frozen=True, kw_only=True):
    """The process and its two ports."""

    role: Annotated[
        Literal["all", "api", "cache"],
        Meta(
            description="What the server does. `api` serves HTTP before a cluster's servers and owns nothing; `cache` "
            "owns mailboxes and serves the other servers alone; `all` is both."
        ),
    ] = "all"
    data_dir: Annotated[
        str,
        Meta(min_length=1, description="Folder of the embedded store and of the secret that signs tokens."),
    ] = "./rowbox-data"
    host: Annotated[
        str,
        Meta(min_length=1, description="Address of the HTTP API, or several with commas; `::` takes IPv4 as well."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port of the HTTP API; 0 takes any free one.")] = 8080
    admin_host: Annotated[
        str,
        Meta(min_length=1, description="Address of health, readiness and metrics, or several with commas."),
    ] = "127.0.0.1"
    admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of health, readiness and metrics; 0 takes any free one.")
    ] = 8081
    api_processes: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Processes beside this one that serve the HTTP API (Linux); 0: this process serves it.",
        ),
    ] = 0
    log_format: Annotated[
        Literal["text", "json"], Meta(description="Log lines for a person (text) or one JSON object each (json).")
    ] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least that a log line must matter. Refused requests are told of at info."),
    ] = "info"
    access_log: Annotated[
        bool, Meta(description="A log line for each request to the API, at its end; at any log_level.")
    ] = False
    insecure_dev: Annotated[
        bool, Meta(description="No authentication: every caller is whom he says he is. Only on a loopback host.")
    ] = False
    demo_tokens: Annotated[
        bool,
        Meta(description="Print tokens of alice and bob when ready; else only on a terminal, of a loopback host."),
    ] = False
    drain_ms: Annotated[
        int, Meta(ge=0, le=600 * SECOND_MS, description="How long SIGTERM waits for writes that have begun.")
    ] = 10 * SECOND_MS
    max_body_bytes: Annotated[
        int,
        Meta(ge=1024, le=16 * MIB, description="Larger request bodies are refused (413) before they are read."),
    ] = 512 * 1024
    body_ms: Annotated[
        int, Meta(ge=1, le=600 * SECOND_MS, description="In this time a request's body has to arrive.")
    ] = 30 * SECOND_MS
    body_room_ms: Annotated[
        int,
        Meta(ge=1, le=600 * SECOND_MS, description="How long a body waits for room in bodies_bytes, then 503."),
    ] = 5 * SECOND_MS
    bodies_bytes: Annotated[
        int, Meta(ge=1024, le=1 << 40, description="All request bodies together that are being received.")
    ] = 32 * MIB
    bodies_bytes_per_user: Annotated[
        int, Meta(ge=1024, le=1 << 40, description="Of them, one user's; a body beyond is refused (503).")
    ] = 2 * MIB
    max_connections: Annotated[
        int,
        Meta(
            ge=LEAST_CONNECTIONS,
            le=10_000_000,
            description="Connections to the API; by default fewer, where the process may not open so many files.",
        ),
    ] = 100_000
    held_bytes: Annotated[
        int,
        Meta(
            ge=LEAST_HELD_BYTES,
            le=1 << 40,
            description="What all connections hold: unfinished heads, requests behind others, answers not read.",
        ),
    ] = 64 * MIB
    head_ms: Annotated[
        int, Meta(ge=1, le=600 * SECOND_MS, description="In this time a request's head has to be whole.")
    ] = 10 * SECOND_MS
    write_ms: Annotated[
        int, Meta(ge=1, le=600 * SECOND_MS, description="A client that reads nothing of its answer so long is cut off.")
    ] = 20 * SECOND_MS
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="Browser origins that may call the API; none unless listed.")
    ] = ()
    public_url: Annotated[
        str,
        Meta(
            max_length=200,
            description="Where clients reach this server and no other one, as https://chat-1.example.com; "
            "`/v1/connect` names it. Empty: there is no such address.",
        ),
    ] = ""


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Who may call, beside the holders of tokens that `rowbox token` signs."""

    jwks: Annotated[
        str, Meta(description="File or URL of the key set that verifies tokens; empty: the secret in data_dir.")
    ] = ""
    jwks_max_age_ms: Annotated[
        int,
        Meta(
            ge=10 * SECOND_MS,
            le=DAY_MS,
            description="Age at which the key set is read again: how long a withdrawn key counts.",
        ),
    ] = 600 * SECOND_MS
    jwks_keep_ms: Annotated[
        int,
        Meta(
            ge=10 * SECOND_MS,
            le=365 * DAY_MS,
            description="How long keys count that cannot be read again; then no token does (503).",
        ),
    ] = DAY_MS
    audience: Annotated[str, Meta(description="The `aud` that tokens must carry; empty: not looked at.")] = ""
    issuer: Annotated[str, Meta(description="The `iss` that tokens must carry; empty: not looked at.")] = ""
    user_id_claim: Annotated[str, Meta(min_length=1, description="The claim that names the user.")] = "sub"
    escape_user_ids: Annotated[
        bool,
        Meta(description="Take users whose names are no userIds, each under an escaped userId, as `auth0@@7C5f7c`."),
    ] = False
    scope_claim: Annotated[
        str, Meta(min_length=1, description="The claim that holds the scopes: a text with spaces, or a list.")
    ] = "scope"
    device_claim: Annotated[
        str, Meta(description="The claim that names the device of which a token is, if it has one; empty: none does.")
    ] = "did"
    max_token_life_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_650 * DAY_MS,
            description="Tokens with more time from `iat` to `exp`, or without `iat`, are refused; 0: any are taken.",
        ),
    ] = 0
    token_cache_entries: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Verified tokens remembered until they expire; 0: none.")
    ] = 100_000
    leeway_ms: Annotated[
        int, Meta(ge=0, le=600 * SECOND_MS, description="Difference of clocks tolerated in a token's times.")
    ] = 5 * SECOND_MS


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Where mailboxes are kept, what of them and how long, and the memory of the embedded store."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="`embedded` (a folder in data_dir), or hbase://host:port[,host:port]/prefix: Thrift gateways.",
        ),
    ] = EMBEDDED
    shards: Annotated[
        int,
        Meta(
            ge=64, le=65536, description="Contiguous key ranges; fixed when the store is made, verified at each start."
        ),
    ] = 4096
    retention_ms: Annotated[int, Meta(ge=SECOND_MS, le=36_500 * DAY_MS, description="How long a message is kept.")] = (
        365 * DAY_MS
    )
    token_life_ms: Annotated[
        int,
        Meta(
            ge=SECOND_MS,
            le=3_650 * DAY_MS,
            description="Age up to which a delta token is served; the log is kept a day longer.",
        ),
    ] = 7 * DAY_MS
    dedupe_life_ms: Annotated[
        int,
        Meta(ge=SECOND_MS, le=3_650 * DAY_MS, description="How long a clientMessageId makes a retry the same message."),
    ] = 7 * DAY_MS
    block_cache_bytes: Annotated[
        int, Meta(ge=MIB, le=1 << 40, description="RocksDB's cache of blocks read. Part of the memory budget.")
    ] = 64 * MIB
    memtable_bytes: Annotated[
        int, Meta(ge=MIB, le=1 << 40, description="RocksDB's tables not yet flushed. Part of the memory budget.")
    ] = 64 * MIB
    max_open_files: Annotated[
        int,
        Meta(
            ge=64,
            le=1_000_000,
            description="Files that RocksDB keeps open; by default fewer, where the process may not open so many.",
        ),
    ] = 4096
    min_free_bytes: Annotated[
        int, Meta(ge=0, le=1 << 40, description="With less room than this on the device, writes are refused early.")
    ] = 64 * MIB


ThriftTransport: TypeAlias = Literal["buffered", "framed"]
ThriftProtocol: TypeAlias = Literal["binary", "compact"]


class HBaseSettings(Struct, frozen=True, kw_only=True):
    """The connections to the Thrift gateways of an HBase store."""

    connections: Annotated[
        int, Meta(ge=2, le=256, description="Calls at once, each on a connection and a thread of its own.")
    ] = 16
    call_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600 * SECOND_MS,
            description="Deadline of one call; a write that meets it is of unknown outcome.",
        ),
    ] = 5 * SECOND_MS
    patience_ms: Annotated[
        int,
        Meta(
            ge=50,
            le=600 * SECOND_MS,
            description="A call without an answer for this long is not waited for: its regions are asked one by one.",
        ),
    ] = SECOND_MS
    idle_ms: Annotated[
        int,
        Meta(
            ge=SECOND_MS,
            le=3_600 * SECOND_MS,
            description="A connection idle for longer is opened anew: a gateway closes them after 60 s.",
        ),
    ] = 30 * SECOND_MS
    transport: Annotated[
        ThriftTransport,
        Meta(description="Thrift's transport, as the gateways were started: framed is -f, -nonblocking or -hsha."),
    ] = "buffered"
    protocol: Annotated[
        ThriftProtocol, Meta(description="Thrift's protocol, as the gateways were started: compact is -c.")
    ] = "binary"
    frame_bytes: Annotated[
        int,
        Meta(
            ge=2 * MIB,
            le=1 << 30,
            description="Framed: the largest request, at most the gateways' max_frame_size_in_mb; batches fit into it.",
        ),
    ] = 2 * MIB


class LeaseSettings(Struct, frozen=True, kw_only=True):
    """Which server owns the mailboxes of an HBase store. The same on every server of one store."""

    ttl_ms: Annotated[
        int, Meta(ge=500, le=600 * SECOND_MS, description="A server that could not renew for so long answers nothing.")
    ] = 4 * SECOND_MS
    margin_ms: Annotated[
        int, Meta(ge=50, le=60 * SECOND_MS, description="How much longer another one waits before it takes over.")
    ] = 500
    beat_ms: Annotated[
        int, Meta(ge=50, le=60 * SECOND_MS, description="Time between two renewals; at most a third of ttl_ms.")
    ] = SECOND_MS


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """The servers of one HBase store, among which the mailboxes are shared, and what they say to each other."""

    node_id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._\-]{0,64}$",
            description="Name of this server, in all its lives, and of no other. Empty: made of host and data folder.",
        ),
    ] = ""
    weight: Annotated[
        int, Meta(ge=1, le=1000, description="This server's share of the mailboxes, in percent of an ordinary one's.")
    ] = 100
    zone: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9._\-]{0,64}$", description="Where this server is, for people. Empty: not said.")
    ] = ""
    standby: Annotated[
        bool, Meta(description="Whether this server takes over from others that end, and nothing before.")
    ] = False
    peer_listen: Annotated[
        str,
        Meta(description="HOST:PORT at which other servers of the cluster call this one. Empty: alone, or a standby."),
    ] = ""
    peer_address: Annotated[
        str, Meta(description="HOST:PORT under which they reach it, where that is another. Empty: as peer_listen.")
    ] = ""
    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._\-]{1,64}$",
            description="Name of the cluster. Servers of another one are not spoken to.",
        ),
    ] = "rowbox"
    secret_file: Annotated[
        str,
        Meta(
            description="File with the secret (32 bytes or more) that the servers of the cluster prove to each other."
        ),
    ] = ""
    tls_certificate: Annotated[
        str,
        Meta(description="File with this server's certificate and its chain, for TLS among servers. Empty: no TLS."),
    ] = ""
    tls_key: Annotated[str, Meta(description="File with the private key of that certificate.")] = ""
    tls_authority: Annotated[
        str,
        Meta(description="File with the certificates of the authority that has signed those of the cluster's servers."),
    ] = ""
    redis_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(redis|rediss|unix)://.+$",
            description="A Redis for who is online, and to tell servers of changes sooner; nothing else depends on it. "
            "Empty: none, and presence is not shown.",
        ),
    ] = ""
    moves_at_once: Annotated[
        int, Meta(ge=0, le=65536, description="Shards on the move from living servers at one time; 0: none are moved.")
    ] = 64
    handover_bytes: Annotated[
        int,
        Meta(
            ge=0, le=1 << 30, description="Of the mailboxes in memory so many bytes go with a move; the rest is read."
        ),
    ] = 64 * MIB
    leave_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=600 * SECOND_MS,
            description="How long a stop waits until the other servers have all shards of this one.",
        ),
    ] = 30 * SECOND_MS
    patience_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=60 * SECOND_MS,
            description="How long a request waits until the owner of its mailbox is known and reached; then it is 503.",
        ),
    ] = 6 * SECOND_MS


class CacheSettings(Struct, frozen=True, kw_only=True):
    """Mailboxes in memory, and the rate at which cold ones are read."""

    bytes: Annotated[
        int, Meta(ge=MIB, le=1 << 40, description="All mailboxes in memory together. Part of the memory budget.")
    ] = 128 * MIB
    window_messages: Annotated[
        int, Meta(ge=1, le=10_000, description="Newest messages of a conversation that stay in memory.")
    ] = 64
    window_bytes_per_mailbox: Annotated[
        int, Meta(ge=64 * 1024, le=1 << 30, description="Bytes of messages that one mailbox keeps in memory.")
    ] = MIB
    load_concurrency: Annotated[
        int, Meta(ge=1, le=10_000, description="Cold mailboxes read from the store at the same time.")
    ] = 64
    load_queue: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Cold mailboxes waiting to be read; more are refused (503).")
    ] = 10_000


class CommitSettings(Struct, frozen=True, kw_only=True):
    """The way of a write to the store."""

    batch_rows: Annotated[int, Meta(ge=1, le=100_000, description="Rows in one store call.")] = 512
    batch_bytes: Annotated[int, Meta(ge=64 * 1024, le=1 << 30, description="Bytes in one store call.")] = 4 * MIB
    lanes: Annotated[
        int,
        Meta(ge=1, le=64, description="HBase: ranges of rows that commit side by side, each with one call in flight."),
    ] = 1
    queue_commands: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Commands waiting for a store call; more are refused (503).")
    ] = 20_000
    queue_bytes: Annotated[
        int,
        Meta(
            ge=4 * MIB,
            le=1 << 40,
            description="Their bytes; from half of either bound on, an eighth of it for each user.",
        ),
    ] = 64 * MIB
    delivery_bytes: Annotated[
        int,
        Meta(
            ge=4 * MIB,
            le=1 << 40,
            description="HBase: messages in memory on their way to recipients; what is beyond waits in outboxes.",
        ),
    ] = 64 * MIB
    timeout_ms: Annotated[
        int,
        Meta(ge=100, le=600 * SECOND_MS, description="After this long a caller is told that the outcome is unknown."),
    ] = 10 * SECOND_MS
    delivery_wait_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=60 * SECOND_MS,
            description="How long a send waits for its recipients before it says how many are pending.",
        ),
    ] = SECOND_MS


class MessageSettings(Struct, frozen=True, kw_only=True):
    """For how long a message may be changed, and what authors are told of their readers."""

    edit_window_ms: Annotated[
        int,
        Meta(ge=0, le=36_500 * DAY_MS, description="How long after its sending a message may be edited; 0: none is."),
    ] = DAY_MS
    unsend_window_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500 * DAY_MS,
            description="How long after its sending a message may be taken back; 0: none is.",
        ),
    ] = 2 * DAY_MS
    reaction_window_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500 * DAY_MS,
            description="How long after its sending users may react to a message, and take that back; 0: nobody does.",
        ),
    ] = 30 * DAY_MS
    max_ttl_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=365 * DAY_MS,
            description="The longest time after which users may have messages disappear; less than an hour: none do.",
        ),
    ] = 365 * DAY_MS
    receipts: Annotated[
        Literal["all", "delivered", "none"],
        Meta(
            description="What authors are told of their readers, in groups too: that a message is on one of a reader's "
            "devices and that he has read it (`all`), only the former, or nothing. For all users of the servers, both "
            "ways; what was told before stays. The same on all servers of a cluster."
        ),
    ] = "all"


class GroupsSettings(Struct, frozen=True, kw_only=True):
    """How large groups may be, and how much one of them may ask of the server. Limits hold where any limit does."""

    max_members: Annotated[
        int,
        Meta(
            ge=0,
            le=256,
            description="The most members of a group; 0: none is made. Those of a larger one stay, nobody is added.",
        ),
    ] = 100
    max_content_bytes: Annotated[
        int, Meta(ge=1, le=65_535, description="The most bytes of UTF-8 in a message to a group.")
    ] = 16_384
    fan_out_burst_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**40,
            description="Bytes that go to a group at once at most: of a message, a change of it or reactions to it, "
            "its text and 600, times members; and of what those who join are given. 0: no limit.",
        ),
    ] = 8 * MIB
    fan_out_bytes_per_second: Annotated[
        int, Meta(ge=0, le=2**40, description="Of these bytes, those that a group regains each second.")
    ] = 2 * MIB
    change_burst: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Changes of a group at once, half of them for removals alone; leaving is none. 0: no limit.",
        ),
    ] = 20
    change_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Changes that a group regains each second.")
    ] = 0.2


class UsersSettings(Struct, frozen=True, kw_only=True):
    """Who is known, and what that is needed for."""

    policy: Annotated[
        Literal["open", "known"],
        Meta(
            description="To whom a user may write first, and whom he may bring into a group: anybody (`open`), or only "
            "users who have a profile (`known`). The same on all servers of a cluster."
        ),
    ] = "open"
    self_service: Annotated[
        bool,
        Meta(
            description="Whether users make themselves known (createUser); else only administrators make users known."
        ),
    ] = False


class ModerationSettings(Struct, frozen=True, kw_only=True):
    """Who takes what users report."""

    user: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9._@+:\-]{0,128}$",
            description="The user whose mailbox gets what others report, a message for each message that is reported. "
            "Empty: nobody reports. The same on all servers of a cluster.",
        ),
    ] = ""


class PollSettings(Struct, frozen=True, kw_only=True):
    """Long polls, each of which holds a connection."""

    max_per_user: Annotated[
        int, Meta(ge=1, le=1_000, description="Polls held for one user; one more ends the oldest.")
    ] = 8
    max_per_server: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Polls held in all; more are refused (503).")
    ] = 50_000
    max_wait_ms: Annotated[
        int,
        Meta(ge=0, le=55 * SECOND_MS, description="Longest time a poll is held; a longer `wait` is shortened to it."),
    ] = 55 * SECOND_MS


class SocketSettings(Struct, frozen=True, kw_only=True):
    """WebSockets and event streams, each of which holds a connection."""

    max_per_user: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Sockets and streams of one user in one process; one more closes the oldest (4409).",
        ),
    ] = 20
    max_per_server: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Sockets and streams in all; more are refused (503).")
    ] = 50_000
    handshakes_per_second: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Sockets and streams that may begin in a second; more are refused (503)."),
    ] = 2_500
    max_followers_per_user: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Sockets and streams of one user over all servers, counted where his mailbox is owned; one "
            "more closes the oldest (4409).",
        ),
    ] = 100
    max_followers: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Sockets and streams, wherever they are, of users whose mailboxes this server owns; more are "
            "refused (4503).",
        ),
    ] = 200_000


class SearchSettings(Struct, frozen=True, kw_only=True):
    """The indexes in which users search, made of their mailboxes at their first search. They hold words of messages."""

    bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 40,
            description="All index files together; the least recently used ones go. One takes half at most. 0: nobody "
            "searches.",
        ),
    ] = 1024 * MIB
    dir: Annotated[
        str,
        Meta(description="Folder of the index files; none outlives its server. Empty: `search` in server.data_dir."),
    ] = ""
    min_free_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 40,
            description="With less room than this on the device all index files go, and nobody searches.",
        ),
    ] = 512 * MIB


class PushSettings(Struct, frozen=True, kw_only=True):
    """What tells devices of new messages while nobody is looking: Web Push, and webhooks."""

    content: Annotated[
        Literal["none", "sender", "preview"],
        Meta(
            description="What a push says of a message: that there is one, also who sent it and in which group, or "
            "also how it begins."
        ),
    ] = "sender"
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="The hosts that are called, as users name them: a name; `*.` and a name, for all hosts below "
            "it; `*`, for any host of the public internet. The default is the push services of the browsers."
        ),
    ] = ("fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com")
    vapid_key_file: Annotated[
        str,
        Meta(
            description="File with the key that push services know this server by, the same for all servers of a "
            "store; `rowbox push keys` makes one. Empty: no Web Push."
        ),
    ] = ""
    contact: Annotated[
        str,
        Meta(description="Whom push services write to when something is wrong: `mailto:` and an address, or a URL."),
    ] = ""


LimitClass: TypeAlias = Literal["send", "fetch", "create", "search", "report"]
"""The class of a request, against whose limit it counts: for calls that write, for calls that only read, for what both
sends and makes a row, for searches, and for reports."""


class RateLimitSettings(Struct, frozen=True, kw_only=True):
    """A token bucket per user for sends, one for fetches, for searches, for reports, and for the groups he creates."""

    enabled: Annotated[bool, Meta(description="Whether any limit holds.")] = True
    send_burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Sends a user may make at once; 0: no limit on sends.")
    ] = 60
    send_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Sends a user regains each second; 0: no limit on sends.")
    ] = 5.0
    fetch_burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Fetches a user may make at once; 0: no limit on fetches.")
    ] = 120
    fetch_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Fetches a user regains each second; 0: no limit on fetches.")
    ] = 20.0
    create_burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Groups a user may create at once; 0: no limit on groups.")
    ] = 10
    create_per_second: Annotated[
        float,
        Meta(ge=0, le=1_000_000, description="Groups a user may create again each second; 0: no limit on groups."),
    ] = 0.02
    search_burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Searches a user may make at once; 0: no limit on searches.")
    ] = 10
    search_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Searches a user regains each second; 0: no limit on searches.")
    ] = 1.0
    report_burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Reports a user may make at once; 0: no limit on reports.")
    ] = 10
    report_per_second: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Reports a user regains each second; 0: no limit on reports.")
    ] = 0.02
    max_buckets: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Users whose buckets are remembered; the longest idle is forgotten.")
    ] = 200_000

    def of(self, name: LimitClass) -> tuple[int, float] | None:
        """How many requests of class `name` a user may make at once, and how many he regains each second. None where
        this class is not limited.
        """
        burst, per_second = self.send_burst, self.send_per_second
        if name == "fetch":
            burst, per_second = self.fetch_burst, self.fetch_per_second
        elif name == "create":
            burst, per_second = self.create_burst, self.create_per_second
        elif name == "search":
            burst, per_second = self.search_burst, self.search_per_second
        elif name == "report":
            burst, per_second = self.report_burst, self.report_per_second
        return (burst, per_second) if self.enabled and burst and per_second else None


class Settings(Struct, frozen=True, kw_only=True):
    """All settings, one struct for each table of the file."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    store: StoreSettings = StoreSettings()
    hbase: HBaseSettings = HBaseSettings()
    lease: LeaseSettings = LeaseSettings()
    cluster: ClusterSettings = ClusterSettings()
    cache: CacheSettings = CacheSettings()
    commit: CommitSettings = CommitSettings()
    messages: MessageSettings = MessageSettings()
    groups: GroupsSettings = GroupsSettings()
    users: UsersSettings = UsersSettings()
    moderation: ModerationSettings = ModerationSettings()
    poll: PollSettings = PollSettings()
    sockets: SocketSettings = SocketSettings()
    search: SearchSettings = SearchSettings()
    push: PushSettings = PushSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()


_FLAGS: Final[Mapping[str, str]] = {
    "server.data_dir": "--data-dir",
    "store.url": "--store",
    "server.host": "--host",
    "server.port": "--port",
    "server.admin_host": "--admin-host",
    "server.admin_port": "--admin-port",
    "server.api_processes": "--api-processes",
    "server.role": "--role",
    "cluster.peer_listen": "--peer-listen",
    "server.log_format": "--log-format",
    "server.log_level": "--log-level",
    "server.access_log": "--access-log",
    "server.insecure_dev": "--insecure-dev",
    "server.demo_tokens": "--demo-tokens",
    "rate_limits.enabled": "--rate-limits",
}
_TABLES: Final[Mapping[str, type[Struct]]] = {
    field.name: type(field.default) for field in msgspec.structs.fields(Settings)
}
SETTINGS: Final[Mapping[str, Setting]] = {
    setting.key: setting for name, struct in _TABLES.items() for setting in settings_of(name, struct, _FLAGS)
}
"""Every setting by its key, in the order of the file."""

CONFIG_FILE_VARIABLE: Final = "ROWBOX_CONFIG"
"""The environment variable that names the file of settings. It is no setting, and no unknown key either."""


_GATEWAY: Final = r"[A-Za-z0-9_.-]+:[0-9]{1,5}"
_HBASE_URL: Final = re.compile(rf"hbase://({_GATEWAY}(?:,{_GATEWAY})*)/((?:[A-Za-z0-9_]+:)?[A-Za-z0-9_]+)")

_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_PUBLIC_URL: Final = re.compile(rf"(?:http|ws)s?://{_HOST}(?::([0-9]{{1,5}}))?(?:/[A-Za-z0-9._~/-]*)?")
"""No credentials, no query, no fragment: it is shown to every client, and a path is put behind it."""

_CONTACT: Final = re.compile(
    r"mailto:[^@\s]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)
_HOST_PATTERN: Final = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")

_Given: TypeAlias = Iterable[tuple[str, object, str]]  # key, value, origin


class LoadedSettings(Struct, frozen=True):
    """The settings, and for each where its value came from."""

    settings: Settings
    origins: Mapping[str, str]

    def origin(self, key: str) -> str:
        """One of "flag --x", "environment ROWBOX_X", "file" and "default". KeyError for an unknown key."""
        return self.origins[key]

    def value(self, key: str) -> object:
        """The value of the setting "table.field"."""
        value: object = _value(self.settings, key)
        return value


def load(flags: Mapping[str, object], environ: Mapping[str, str], toml_text: str | None) -> LoadedSettings:
    """The settings that the flags, the environment, the file and the defaults give. The first of these that has a key
    decides it.

    `flags` maps keys ("server.port") to values, None meaning not given. Of `environ` only ROWBOX_* is read. ConfigError
    for an unknown key or a wrong value in any source, even where another source overrides it, because it would surface
    on the day on which the override goes.
    """
    values: dict[str, object] = {}
    origins = dict.fromkeys(SETTINGS, "default")
    for given in (_from_file(toml_text), _from_environment(environ), _from_flags(flags)):
        for key, value, origin in given:
            values[key] = value
            origins[key] = origin
    settings = _build(values)
    _check_together(settings, origins)
    return LoadedSettings(settings, origins)


def _from_flags(flags: Mapping[str, object]) -> _Given:
    for key, raw in flags.items():
        if raw is not None:
            origin = f"flag {_FLAGS.get(key, key)}"
            yield key, _read(key, raw, origin, is_text=True), origin


def _from_environment(environ: Mapping[str, str]) -> _Given:
    by_variable = {setting.environment: key for key, setting in SETTINGS.items()}
    for variable, raw in environ.items():
        if variable.startswith("ROWBOX_") and variable != CONFIG_FILE_VARIABLE:
            origin = f"environment {variable}"
            if variable not in by_variable:
                raise _unknown(variable, raw, "environment", by_variable)
            yield by_variable[variable], _read(by_variable[variable], raw, origin, is_text=True), origin


def _from_file(toml_text: str | None) -> _Given:
    for table, fields in _parse_toml(toml_text or "").items():
        if table not in _TABLES:
            raise _unknown(table, fields, "file", _TABLES)
        if not isinstance(fields, dict):
            raise ConfigError(table, fields, "file", f"a table [{table}]")
        for name, raw in fields.items():
            key = f"{table}.{name}"
            yield key, _read(key, raw, "file", is_text=False), "file"


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("the file", str(error), "file", "TOML") from error


def _read(key: str, raw: object, origin: str, *, is_text: bool) -> object:
    if key not in SETTINGS:
        raise _unknown(key, raw, origin, SETTINGS)
    setting = SETTINGS[key]
    try:
        return setting.read(raw, is_text=is_text)
    except ValueError as error:  # msgspec.ValidationError is one
        raise ConfigError(key, raw, origin, setting.expected()) from error


def _unknown(key: str, value: object, origin: str, known: Iterable[str]) -> ConfigError:
    close = difflib.get_close_matches(key, known, n=1)
    return ConfigError(key, value, origin, f"a known setting; did you mean {close[0]}?" if close else "a known setting")


def _build(values: Mapping[str, object]) -> Settings:
    settings = Settings()
    for key, value in values.items():
        name, _, field = key.partition(".")
        table = replace(getattr(settings, name), **{field: value})
        settings = replace(settings, **{name: table})
    return settings


def _check_together(settings: Settings, origins: Mapping[str, str]) -> None:
    """ConfigError where settings contradict each other. It names the setting that the operator would change."""
    server = settings.server
    if server.port == server.admin_port != 0:
        raise ConfigError(
            "server.admin_port", server.admin_port, origins["server.admin_port"], "another than server.port"
        )
    for key, text in (("server.host", server.host), ("server.admin_host", server.admin_host)):
        if not all(hosts_of(text)):
            raise ConfigError(key, text, origins[key], "an address, or several separated by commas")
    if server.insecure_dev and not all(map(is_loopback, hosts_of(server.host))):
        expected = "127.0.0.1, ::1 or localhost while server.insecure_dev is on"
        raise ConfigError("server.host", server.host, origins["server.host"], expected)
    _check_at_least(settings, origins, "server.bodies_bytes_per_user", "server.max_body_bytes")
    _check_at_least(settings, origins, "server.bodies_bytes", "server.bodies_bytes_per_user")
    _check_shares(settings, origins)
    _check_at_least(settings, origins, "auth.jwks_keep_ms", "auth.jwks_max_age_ms")
    lease = settings.lease
    if 3 * lease.beat_ms > lease.ttl_ms:
        raise ConfigError("lease.beat_ms", lease.beat_ms, origins["lease.beat_ms"], "at most a third of lease.ttl_ms")
    parse_store_url(settings.store.url, origins["store.url"])
    _check_role(settings, origins)
    _check_public_url(server, origins)
    _check_tls(settings.cluster, origins)
    _check_push(settings.push, origins)


def _check_role(settings: Settings, origins: Mapping[str, str]) -> None:
    """ConfigError where a server could not be what it is asked to be among the servers of a cluster."""
    role, origin, cluster = settings.server.role, origins["server.role"], settings.cluster
    is_embedded = parse_store_url(settings.store.url) is None
    if role != "all" and is_embedded:
        raise ConfigError("server.role", role, origin, "all, with the embedded store (store.url)")
    if role == "cache" and not cluster.peer_listen:
        raise ConfigError(
            "cluster.peer_listen", "", origins["cluster.peer_listen"], "an address, for server.role cache"
        )
    if role == "cache" and settings.server.api_processes:
        count = settings.server.api_processes
        raise ConfigError("server.api_processes", count, origins["server.api_processes"], "0, for server.role cache")
    if (cluster.peer_listen or role == "api") and not is_embedded and not cluster.secret_file:
        expected = "a file with the secret that the servers of the cluster have in common"
        raise ConfigError("cluster.secret_file", "", origins["cluster.secret_file"], expected)


def _check_public_url(server: ServerSettings, origins: Mapping[str, str]) -> None:
    """ConfigError where clients could not be sent there."""
    url, origin = server.public_url, origins["server.public_url"]
    if not url:
        return
    match = _PUBLIC_URL.fullmatch(url)
    if match is None or not 0 < int(match[1] or 1) < 65536:
        expected = "http(s):// or ws(s)://, a host, a port and a path where it has these, and nothing else"
        raise ConfigError("server.public_url", url, origin, expected)
    if server.role == "cache":
        raise ConfigError("server.public_url", url, origin, "none, for server.role cache, which serves no clients")


def _check_tls(cluster: ClusterSettings, origins: Mapping[str, str]) -> None:
    """ConfigError where of what TLS needs a part is missing."""
    files = {key: getattr(cluster, key) for key in ("tls_certificate", "tls_key", "tls_authority")}
    given = [f"cluster.{key}" for key, file in files.items() if file]
    for key, file in files.items():
        if given and not file:
            name = f"cluster.{key}"
            raise ConfigError(name, file, origins[name], f"a file, because {given[0]} is given")


def _check_push(push: PushSettings, origins: Mapping[str, str]) -> None:
    """ConfigError where no push service would take anything, or no host could be meant."""
    if push.vapid_key_file and not _CONTACT.fullmatch(push.contact):
        expected = "mailto: and an address, or https:// and a host, because push.vapid_key_file is given"
        raise ConfigError("push.contact", push.contact, origins["push.contact"], expected)
    for pattern in push.allowed_hosts:
        if not _HOST_PATTERN.fullmatch(pattern):
            expected = "names of hosts, such with `*.` before them, or `*`"
            raise ConfigError("push.allowed_hosts", pattern, origins["push.allowed_hosts"], expected)


def _check_shares(settings: Settings, origins: Mapping[str, str]) -> None:
    """ConfigError where a part of what API processes share is too small to serve with."""
    server, count = settings.server, settings.server.api_processes
    for key, least in (
        ("server.bodies_bytes", server.max_body_bytes),
        ("server.held_bytes", LEAST_HELD_BYTES),
        ("server.max_connections", LEAST_CONNECTIONS),
    ):
        value = _value(settings, key)
        if value < count * least:
            expected = f"at least {count * least}, which is {least} for each of server.api_processes"
            raise ConfigError(key, value, origins[key], expected)


def _check_at_least(settings: Settings, origins: Mapping[str, str], key: str, least_key: str) -> None:
    value, least = _value(settings, key), _value(settings, least_key)
    if value < least:
        raise ConfigError(key, value, origins[key], f"at least {least_key}, which is {least}")


def _value(settings: Settings, key: str) -> Any:
    table, _, field = key.partition(".")
    return getattr(getattr(settings, table), field)


class HBaseAddress(Struct, frozen=True):
    """The address of an HBase store: its Thrift1 gateways, in the order in which they are tried, and its prefix."""

    gateways: tuple[tuple[str, int], ...]
    prefix: str

    @property
    def table(self) -> str:
        """The table's name: `prefix` may hold a namespace ("chat:rowbox")."""
        return f"{self.prefix}_mailboxes"


def parse_store_url(url: str, origin: str = "argument") -> HBaseAddress | None:
    """The address that a store's URL names; None where it names the embedded store. ConfigError for anything else."""
    if url == EMBEDDED:
        return None
    match = _HBASE_URL.fullmatch(url)
    gateways = tuple(_gateway(part) for part in match[1].split(",")) if match else ()
    if match is None or not all(0 < port < 65536 for _, port in gateways):
        raise ConfigError("store.url", url, origin, f"{EMBEDDED} or hbase://host:port[,host:port]/prefix")
    return HBaseAddress(gateways, match[2])


def _gateway(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def hosts_of(text: str) -> tuple[str, ...]:
    """The addresses in a setting's text, which commas divide, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
