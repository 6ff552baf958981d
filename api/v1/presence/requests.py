"""Turns requests about presence into values of the port, as api/v1/requests.py does with all others."""

from collections.abc import Mapping
from typing import Final

import msgspec

from rowbox.api.auth.claims import Claims
from rowbox.api.v1.presence.types import FetchPresenceQuery, Heartbeat
from rowbox.api.v1.reading.query import QueryParser
from rowbox.api.v1.reading.request import ReadUserId, acting_user, decode
from rowbox.cacheserver.port import MOST_PRESENCES, AskPresence
from rowbox.mailbox.errors import BadRequest

_heartbeat: Final = msgspec.json.Decoder(Heartbeat)
_fetch: Final = QueryParser(FetchPresenceQuery)


def parse_heartbeat(body: bytes, claims: Claims, read_user_id: ReadUserId) -> str:
    """Who is active, of a body. BadRequest, UnknownParameter, Forbidden."""
    return acting_user(decode(_heartbeat, body).user_id, "userId", claims, read_user_id)


def parse_fetch_presence(query: str, claims: Claims, read_user_id: ReadUserId) -> tuple[Mapping[str, str], AskPresence]:
    """The users whom a query names: the userId of each by what it calls him, and the question, which asks of each
    once. BadRequest, UnknownParameter.
    """
    texts = _fetch.parse(query).user_ids.split(",", MOST_PRESENCES)
    if len(texts) > MOST_PRESENCES:
        raise BadRequest(f"userIds are 1 to {MOST_PRESENCES}")
    names = {text: read_user_id(text, "each of userIds") for text in texts}
    return names, AskPresence(claims.user_id, tuple(dict.fromkeys(names.values())), claims.bearer)
