"""What the OpenAPI document says of the calls about presence, beyond what their types say."""

from typing import Final

from rowbox.api.v1.presence.types import FetchPresenceQuery, FetchPresenceResponse, Heartbeat, HeartbeatResponse
from rowbox.api.v1.reading.call_doc import CallDoc
from rowbox.cacheserver.port import MOST_PRESENCES, USERS_A_FETCH
from rowbox.mailbox.people.presence import ONLINE_MS

_HEARTBEAT: Final = f"""\
For programs without a socket: a user is online for {ONLINE_MS // 1000} s after it. Say it every 10 s while somebody is
there. A long poll and an event stream say it by themselves for as long as they are open; over a socket `ping` with
`active` does. Of who hides (`lastSeen` in his profile) nothing is noted."""

_FETCH: Final = f"""\
Whether users are online, and since when they are not: of up to {MOST_PRESENCES} users with whom one is in a
conversation of two. A user who hides is not shown, and is shown nobody; who shows
himself to his contacts alone is shown these alone. Over a socket `watch` tells of changes, and
there is no need to ask again. {USERS_A_FETCH} users count as a fetch.

It is kept apart from messages, in memory or in Redis: while that is away, all are null, and nothing else is worse."""

PRESENCE_CALLS: Final = (
    CallDoc(
        "heartbeat",
        "post",
        "Says that the user is active. Counts against the fetch limit.",
        _HEARTBEAT,
        Heartbeat,
        {200: "It is noted."},
        HeartbeatResponse,
        ("message_too_large", "unsupported_media_type", "peer_too_old"),
    ),
    CallDoc(
        "fetchPresence",
        "get",
        "Who of some users is online.",
        _FETCH,
        FetchPresenceQuery,
        {200: "What is so now."},
        FetchPresenceResponse,
        ("peer_too_old",),
    ),
)
