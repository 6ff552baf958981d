"""A session, spoken to by a test that holds the clock."""

import json
from typing import Any

from rowbox.api.realtime.deltas import Pulled
from rowbox.api.realtime.effects import Begin, Effect, End, Follow, Pull, Verify, Write
from rowbox.api.realtime.session import Holder, Session, SessionTerms, Stage

BOUND = "0123456789abcdef01234567"
TERMS = SessionTerms(write_s=20, leeway_s=30, max_frame_bytes=524_288, retention_ms=5, dedupe_life_ms=7)


def token(version: int, bound_to: str = BOUND) -> str:
    """A token of the feed."""
    return f"{version}.{bound_to}"


def page(version: int, *, items: int = 1, has_more: bool = False, bound_to: str = BOUND) -> Pulled:
    """What a pull gives: `items` changes up to `version`."""
    body = json.dumps({"messages": [{}] * items, "lastUpdatedTimestamp": token(version, bound_to)}).encode()
    return Pulled(token(version, bound_to), has_more, is_empty=not items and not has_more, body=body)


class Talk:
    """What was said is kept: `effects` of the last step, all `frames` for the client, and the `end`."""

    def __init__(self, holder: Holder | None = None, terms: SessionTerms = TERMS) -> None:
        self.now_s = 100.0
        self.session = Session(terms, self.now_s, holder)
        self.effects: list[Effect] = []
        self.frames: list[Any] = []
        self.end: End | None = None

    def said(self, effects: list[Effect]) -> list[Effect]:
        assert self.end is None or not effects, "something came after the end"
        session = self.session
        assert session.stage is Stage.ENDED or session.due_s <= session._next_s(), "it would be asked too late"
        self.effects = effects
        for effect in effects:
            assert self.end is None, "something came after the end"
            if isinstance(effect, Write):
                self.frames.append(json.loads(effect.frame))
            elif isinstance(effect, End):
                self.end = effect
        return effects

    def client(self, frame: object) -> list[Effect]:
        text = frame if isinstance(frame, str) or frame is None else json.dumps(frame)
        return self.said(self.session.received(text, self.now_s))

    def passes(self, seconds: float) -> list[Effect]:
        """Time passes, and the session is asked whenever it wants to be."""
        until_s, done, calls = self.now_s + seconds, [], 0
        while self.end is None and self.session.due_s <= until_s:
            calls += 1
            assert calls < 1000, "it is due again and again, and nothing comes of it"
            self.now_s = max(self.now_s, self.session.due_s)
            done += self.said(self.session.elapsed(self.now_s))
        self.now_s = until_s
        return done

    def lives(self, seconds: float) -> list[Effect]:
        """As `passes`, of a client who is heard every second."""
        done = []
        for _ in range(round(seconds)):
            self.session.heard(self.now_s)
            done += self.passes(1)
        return done

    def pulled(self, version: int, **of_page: Any) -> list[Effect]:
        """The last pull is answered."""
        return self.said(self.session.pulled(self.pull.number, page(version, **of_page), self.now_s))

    def changed(self, head: int, prev: int, body: bytes | None = b'{"messages":[1]}') -> list[Effect]:
        return self.said(self.session.changed(token(head), token(prev), body, self.now_s))

    @property
    def is_over(self) -> bool:
        return self.end is not None

    @property
    def pull(self) -> Pull:
        (found,) = [one for one in self.effects if isinstance(one, Pull)]
        return found

    @property
    def pulls(self) -> list[str | None]:
        return [one.token for one in self.effects if isinstance(one, Pull)]

    @property
    def begun(self) -> list[Begin]:
        return [one for one in self.effects if isinstance(one, Begin)]

    def of_kind(self, kind: str) -> list[Any]:
        return [frame for frame in self.frames if frame["t"] == kind]


def alice(talk_now_s: float = 100.0, *, life_s: float = 3600) -> Holder:
    return Holder("alice", talk_now_s + life_s, 1_800_000_000)


def opened(*, follow: int | None = None, head: int = 10, life_s: float = 3600) -> Talk:
    """A session behind its welcome."""
    talk = Talk()
    hello = {"t": "hello", "token": "secret", "deviceId": "d1"}
    if follow is not None:
        hello["follow"] = token(follow)
    assert talk.client(hello) == [Verify("secret")]
    assert talk.said(talk.session.verified(alice(life_s=life_s), talk.now_s))[-1] == Follow()
    talk.said(talk.session.followed(token(head), talk.now_s))
    return talk
