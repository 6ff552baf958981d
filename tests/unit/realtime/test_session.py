"""The rules of one socket's session, in the test's own time. Each close code is caused here."""

import json
import math
from typing import Any

import pytest

from rowbox.api.realtime import closing
from rowbox.api.realtime.effects import (
    Active,
    Begin,
    End,
    Enter,
    Follow,
    Ping,
    Prove,
    Refuse,
    Typing,
    Verify,
    View,
    Watch,
    Write,
)
from rowbox.api.realtime.frames import Call
from rowbox.api.realtime.session import Holder, Stage
from tests.unit.realtime.talk import Talk, alice, opened, page, token


def ended(talk: Talk) -> int:
    assert talk.end is not None
    assert talk.session.stage is Stage.ENDED
    return talk.end.code


# ---------------------------------------------------------------------- hello


def test_a_hello_with_a_token_is_welcomed() -> None:
    talk = opened(head=12)
    assert talk.frames == [
        {
            "t": "welcome",
            "userId": "alice",
            "deviceId": "d1",
            "head": token(12),
            "expires": 1_800_000_000,
            "pingMs": 25_000,
            "window": 8,
            "maxFrameBytes": 524_288,
            "retentionMs": 5,
            "dedupeLifeMs": 7,
        }
    ]
    assert talk.session.stage is Stage.OPEN


def test_who_had_a_header_needs_no_token_in_the_hello() -> None:
    talk = Talk(alice())
    assert talk.client({"t": "hello"}) == [Follow()]
    talk.said(talk.session.followed(token(1), talk.now_s))
    assert talk.frames[0]["userId"] == "alice"


def test_a_hello_with_another_users_token_than_the_headers_is_refused() -> None:
    talk = Talk(alice())
    assert talk.client({"t": "hello", "token": "bobs"}) == [Verify("bobs")]
    talk.said(talk.session.verified(Holder("bob"), talk.now_s))
    assert ended(talk) == closing.FORBIDDEN


def test_a_connection_takes_its_place_when_it_may_follow_and_once() -> None:
    """Before, its token may be a revoked one, which must displace nobody."""
    talk = Talk()
    talk.client({"t": "hello", "token": "t", "deviceId": "phone"})
    assert talk.said(talk.session.verified(alice(), talk.now_s)) == [Follow()]
    assert talk.said(talk.session.followed(token(1), talk.now_s))[0] == Enter("alice", "phone")
    talk.client({"t": "auth", "token": "fresh"})
    talk.said(talk.session.verified(alice(), talk.now_s))
    assert talk.said(talk.session.followed(token(1), talk.now_s)) == []


def test_a_token_of_a_device_says_which_one_it_is_and_no_other() -> None:
    talk = Talk()
    talk.client({"t": "hello", "token": "t"})
    assert talk.said(talk.session.verified(Holder("alice", device_id="phone"), talk.now_s)) == [Follow()]
    assert talk.said(talk.session.followed(token(1), talk.now_s))[0] == Enter("alice", "phone")
    assert talk.frames[0]["deviceId"] == "phone"
    talk.client({"t": "auth", "token": "of no device"})
    assert talk.said(talk.session.verified(Holder("alice"), talk.now_s)) == [Follow()]
    talk.client({"t": "auth", "token": "another's"})
    talk.said(talk.session.verified(Holder("alice", device_id="laptop"), talk.now_s))
    assert ended(talk) == closing.FORBIDDEN


@pytest.mark.parametrize("by_header", [False, True])
def test_4403_for_a_hello_of_another_device_than_the_tokens(by_header: bool) -> None:
    holder = Holder("alice", device_id="phone")
    talk = Talk(holder if by_header else None)
    talk.client({"t": "hello", "deviceId": "laptop"} | ({} if by_header else {"token": "t"}))
    if not by_header:
        talk.said(talk.session.verified(holder, talk.now_s))
    assert ended(talk) == closing.FORBIDDEN


def test_4401_without_any_token() -> None:
    talk = Talk()
    talk.client({"t": "hello"})
    assert ended(talk) == closing.UNAUTHENTICATED


def test_4408_without_a_hello() -> None:
    talk = Talk()
    talk.passes(9.9)
    assert not talk.is_over
    talk.passes(0.2)
    assert ended(talk) == closing.NO_HELLO


def test_bytes_that_are_no_hello_do_not_prolong_the_wait() -> None:
    talk = Talk()
    for _ in range(9):
        talk.session.heard(talk.now_s)
        talk.client({"t": "later-kind"})
        talk.passes(1)
    talk.passes(1.1)
    assert ended(talk) == closing.NO_HELLO


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param({"t": "call", "id": 1, "do": "markRead"}, id="no hello first"),
        pytest.param({"t": "ping"}, id="a ping first"),
        pytest.param("[]", id="no object"),
        pytest.param("{", id="no JSON"),
        pytest.param("", id="nothing"),
        pytest.param("{}", id="no kind"),
        pytest.param('{"t":5}', id="a kind that is no text"),
        pytest.param('{"t":"hello","token":5}', id="a token that is no text"),
        pytest.param('{"t":"hello","token":""}', id="an empty token"),
        pytest.param('{"t":"hello","token":"%s"}' % ("x" * 16_385), id="a token too long"),
        pytest.param('{"t":"hello","follow":"%s"}' % ("1" * 65), id="a delta token too long"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(None, id="binary"),
    ],
)
def test_4400_for_what_is_no_hello(frame: Any) -> None:
    talk = Talk()
    talk.client(frame)
    assert ended(talk) == closing.BAD_FRAME


@pytest.mark.parametrize(
    "frame",
    [
        {"t": "hello", "token": "again"},
        {"t": "ack"},
        {"t": "ack", "token": 5},
        {"t": "call", "do": "markRead"},
        {"t": "call", "id": -1, "do": "markRead"},
        {"t": "call", "id": 1 << 53, "do": "markRead"},
        {"t": "call", "id": 1},
        {"t": "auth"},
        {"t": "ping", "active": "yes"},
        [],
        None,
    ],
)
def test_4400_after_the_hello(frame: Any) -> None:
    talk = opened()
    talk.client(frame)
    assert ended(talk) == closing.BAD_FRAME


def test_frames_and_fields_of_later_versions_are_ignored() -> None:
    talk = Talk()
    assert talk.client({"t": "later-kind", "x": [1]}) == []
    talk = opened()
    assert talk.client({"t": "listen", "users": ["bob"]}) == []
    talk.client({"t": "ping", "later": {}})
    assert talk.of_kind("pong") == [{"t": "pong", "head": token(10)}]
    assert not talk.is_over


def test_what_comes_after_the_end_changes_nothing() -> None:
    talk = opened(follow=10)
    pull = talk.pull
    talk.client({"t": "call", "id": 1, "do": "markRead"})
    talk.client(None)
    session = talk.session
    assert session.received('{"t":"ping"}', talk.now_s) == []
    assert session.received_control(talk.now_s) == []
    assert session.changed(token(11), token(10), b"{}", talk.now_s) == []
    assert session.pulled(pull.number, page(12), talk.now_s) == []
    assert session.not_pulled(pull.number, "overloaded", 5, talk.now_s) == []
    assert session.called(1, 200, b"{}", talk.now_s) == []
    assert session.verified(alice(), talk.now_s) == []
    assert session.followed(token(12), talk.now_s) == []
    assert session.refused(4401, "") == []
    assert session.displaced("") == []
    assert session.drain(5) == []
    assert session.unwritten(5, talk.now_s) == []
    assert session.elapsed(talk.now_s + 1e6) == []
    assert session.refused_call(Call(id=1, do="x"), 429, b"{}") == []


# ---------------------------------------------------------------------- calls


def test_a_call_begins_and_is_answered_under_its_id() -> None:
    talk = opened()
    talk.client({"t": "call", "id": 7, "do": "sendMessage", "args": {"a": [1, "é"]}})
    (begin,) = talk.begun
    assert (begin.call.do, json.loads(bytes(begin.call.args))) == ("sendMessage", {"a": [1, "é"]})
    talk.said(talk.session.called(begin.number, 201, b'{"messageId":"m"}', talk.now_s))
    assert talk.frames[-1] == {"t": "reply", "id": 7, "status": 201, "body": {"messageId": "m"}}


def test_a_call_without_args_has_none() -> None:
    talk = opened()
    talk.client({"t": "call", "id": 0, "do": "fetchConversation"})
    assert bytes(talk.begun[0].call.args) == b"{}"


def test_sends_begin_in_the_order_of_their_frames() -> None:
    """P3: what a connection writes first reaches the owner first."""
    talk = opened()
    begun = []
    for number in range(32):
        talk.client({"t": "call", "id": number, "do": "sendMessage"})
        begun += talk.begun
    assert [one.call.id for one in begun] == list(range(32))


def test_the_33rd_call_is_refused_and_the_first_answer_makes_room() -> None:
    talk = opened()
    begun: list[Begin] = []
    for number in range(32):
        talk.client({"t": "call", "id": number, "do": "markRead"})
        begun += talk.begun
    assert len(begun) == 32
    (refuse,) = talk.client({"t": "call", "id": 32, "do": "markRead"})
    assert isinstance(refuse, Refuse)
    assert refuse.call.id == 32
    talk.said(talk.session.refused_call(refuse.call, 429, b'{"code":"rate_limited"}'))
    assert talk.frames[-1] == {"t": "reply", "id": 32, "status": 429, "body": {"code": "rate_limited"}}
    talk.said(talk.session.called(begun[5].number, 200, b"{}", talk.now_s))
    talk.client({"t": "call", "id": 33, "do": "markRead"})
    assert [one.call.id for one in talk.begun] == [33]


def test_pages_are_asked_for_two_at_a_time_in_their_order() -> None:
    """32 answers of a whole page each would otherwise lie in memory for a client that reads nothing."""
    talk = opened()
    begun: list[Begin] = []
    for number, name in enumerate(["fetchMessages", "fetchConversation", "fetchMessages", "fetchChanges"]):
        talk.client({"t": "call", "id": number, "do": name})
        begun += talk.begun
    assert [one.call.id for one in begun] == [0, 1]
    talk.said(talk.session.called(begun[0].number, 200, b"{}", talk.now_s))
    assert [one.call.id for one in talk.begun] == [2]
    talk.said(talk.session.called(begun[1].number, 200, b"{}", talk.now_s))
    assert [one.call.id for one in talk.begun] == [3]


def test_sends_do_not_wait_for_polls() -> None:
    """A poll is held for up to 55 s."""
    talk = opened()
    begun: list[Begin] = []
    for number, name in enumerate(["fetchMessages", "fetchChanges", "fetchMessages", "sendMessage", "sendMessage"]):
        talk.client({"t": "call", "id": number, "do": name, "args": {"wait": 55}})
        begun += talk.begun
    assert [one.call.id for one in begun] == [0, 1, 3, 4]
    talk.said(talk.session.called(begun[1].number, 200, b"{}", talk.now_s))
    assert [one.call.id for one in talk.begun] == [2]


def test_no_call_begins_while_half_a_megabyte_lies_unwritten() -> None:
    talk = opened()
    talk.said(talk.session.unwritten(512 << 10, talk.now_s))
    talk.client({"t": "call", "id": 1, "do": "sendMessage"})
    assert talk.begun == []
    talk.said(talk.session.unwritten(500 << 10, talk.now_s))
    assert [one.call.id for one in talk.begun] == [1]


# ---------------------------------------------------------------------- deltas


def test_deltas_begin_where_the_hello_says() -> None:
    talk = opened(follow=7, head=10)
    assert talk.pulls == [token(7)]
    talk.pulled(9, has_more=True)
    assert talk.pulls == [token(9)]
    talk.pulled(10)
    assert talk.pulls == []
    assert [(one["prev"], one["token"]) for one in talk.of_kind("delta")] == [
        (token(7), token(9)),
        (token(9), token(10)),
    ]
    assert talk.of_kind("delta")[0]["messages"] == [{}]


def test_no_deltas_before_a_follow() -> None:
    talk = opened()
    assert talk.changed(11, 10) == []
    talk.client({"t": "follow", "token": token(9)})
    assert talk.pulls == [token(9)]


def test_a_follow_without_a_token_begins_anew() -> None:
    talk = opened()
    talk.client({"t": "follow"})
    assert talk.pulls == [None]
    talk.pulled(10)
    assert talk.frames[-1]["prev"] is None


def test_a_follow_is_answered_even_where_nothing_changed() -> None:
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    assert [(one["prev"], one["token"]) for one in talk.of_kind("delta")] == [(token(10), token(10))]
    talk.changed(11, 10, None)
    talk.pulled(10, items=0)  # a hint of what is not shown
    assert len(talk.of_kind("delta")) == 1


def test_a_commits_own_bytes_go_out_without_a_pull() -> None:
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    (write,) = talk.changed(11, 10, b'{"messages":["new"]}')
    assert isinstance(write, Write)
    assert talk.frames[-1] == {"t": "delta", "prev": token(10), "token": token(11), "messages": ["new"]}


def test_a_commit_while_a_page_is_on_its_way_is_asked_for_afterwards() -> None:
    """Its bytes would overtake the page; and were `changed` cleared by the page, the commit would wait for the next."""
    talk = opened(follow=8, head=10)
    pull = talk.pull
    assert talk.changed(11, 10) == []
    talk.said(talk.session.pulled(pull.number, page(10), talk.now_s))
    assert talk.pulls == [token(10)]
    talk.pulled(11)
    assert [one["token"] for one in talk.of_kind("delta")] == [token(10), token(11)]


def test_a_commit_does_not_overtake_an_older_page() -> None:
    """The client would be at 11 and then be led back to 10."""
    talk = opened(follow=10, head=10)
    pull = talk.pull
    assert talk.changed(11, 10) == []
    talk.said(talk.session.pulled(pull.number, page(10, items=0), talk.now_s))
    assert [one["token"] for one in talk.of_kind("delta")] == [token(10)]
    assert talk.pulls == [token(10)]


def test_a_page_that_has_the_commit_already_is_enough() -> None:
    talk = opened(follow=8, head=10)
    pull = talk.pull
    talk.changed(11, 10)
    talk.said(talk.session.pulled(pull.number, page(11), talk.now_s))
    assert talk.pulls == []


def test_a_commit_that_the_client_has_is_passed_over() -> None:
    talk = opened(follow=8, head=10)
    talk.pulled(12)
    assert talk.changed(11, 10) == []
    assert talk.changed(12, 11) == []
    assert talk.changed(13, 12) != []


def test_a_commit_behind_a_gap_is_pulled() -> None:
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    talk.changed(12, 11)
    assert talk.pulls == [token(10)]


def test_a_commit_of_another_history_is_pulled() -> None:
    """A store that was put back gives the same versions to other changes."""
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    talk.said(talk.session.changed(token(9, "f" * 24), token(8, "f" * 24), b'{"messages":[1]}', talk.now_s))
    assert talk.pulls == [token(10)]


def test_a_page_that_was_asked_for_before_a_follow_is_dropped() -> None:
    talk = opened(follow=8, head=10)
    old = talk.pull
    talk.client({"t": "follow", "token": token(3)})
    assert talk.pulls == [token(3)]
    new = talk.pull
    assert talk.said(talk.session.pulled(old.number, page(10), talk.now_s)) == []
    assert talk.said(talk.session.not_pulled(old.number, "overloaded", 5, talk.now_s)) == []
    talk.said(talk.session.pulled(new.number, page(10), talk.now_s))
    assert talk.frames[-1]["prev"] == token(3)


def test_unfollow_ends_it() -> None:
    talk = opened(follow=8, head=10)
    pull = talk.pull
    talk.client({"t": "unfollow"})
    assert talk.said(talk.session.pulled(pull.number, page(10), talk.now_s)) == []
    assert talk.changed(11, 10) == []


def full(*, follow: int = 10) -> Talk:
    """A session with eight unacknowledged deltas."""
    talk = opened(follow=follow, head=follow)
    talk.pulled(follow, items=0)
    for version in range(follow + 1, follow + 8):
        talk.changed(version, version - 1)
    assert len(talk.of_kind("delta")) == 8
    return talk


def test_after_eight_deltas_nothing_is_sent_until_one_is_acknowledged() -> None:
    talk = full()
    assert talk.changed(18, 17) == []
    assert talk.changed(19, 18) == []
    talk.client({"t": "ack", "token": token(11)})
    assert talk.pulls == [token(17)]
    talk.pulled(19)
    assert talk.frames[-1]["token"] == token(19)


def test_an_ack_of_a_token_that_was_not_sent_changes_nothing() -> None:
    talk = full()
    talk.changed(18, 17)
    talk.client({"t": "ack", "token": token(999)})
    assert talk.pulls == []


def test_the_owner_hears_of_acks_once_a_second_and_of_the_newest() -> None:
    talk = full()
    assert talk.client({"t": "ack", "token": token(11)}) == []
    talk.passes(0.5)
    talk.client({"t": "ack", "token": token(13)})
    talk.client({"t": "ack", "token": token(999)})
    assert talk.lives(1) == [Prove(token(13))]
    assert talk.lives(5) == []
    talk.client({"t": "ack", "token": token(14)})
    assert talk.lives(1) == [Prove(token(14))]


def test_a_follow_empties_the_window() -> None:
    talk = full()
    talk.client({"t": "follow", "token": token(10)})
    assert talk.pulls == [token(10)]


def test_4008_for_a_window_that_stays_shut() -> None:
    talk = full()
    talk.lives(59)
    assert not talk.is_over
    talk.lives(2)
    assert ended(talk) == closing.TOO_SLOW
    assert talk.end is not None
    assert not talk.end.is_gone  # such a client reads: it is to hear why


def test_a_window_that_was_opened_meanwhile_has_its_time_anew() -> None:
    talk = full()
    talk.lives(59)
    talk.client({"t": "ack", "token": token(11)})
    talk.changed(18, 17)
    talk.lives(59)
    assert not talk.is_over


def test_a_pull_that_fails_is_made_again_when_the_owner_says() -> None:
    talk = opened(follow=8, head=10)
    talk.said(talk.session.not_pulled(talk.pull.number, "handover_in_progress", 300, talk.now_s))
    assert talk.changed(11, 10) == []
    assert talk.passes(0.2) == []
    talk.effects = talk.passes(0.2)
    assert talk.pulls == [token(8)]
    talk.pulled(11)
    assert talk.frames[-1]["token"] == token(11)
    assert talk.of_kind("notice") == []


def test_a_change_that_is_told_of_says_that_the_mailbox_is_in_reach_again() -> None:
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    talk.said(talk.session.out_of_reach("link_lost", 400, talk.now_s))
    talk.changed(10, 10, None)
    talk.passes(5)
    assert talk.of_kind("notice") == []


def test_a_notice_after_a_second_out_of_reach_and_only_one() -> None:
    talk = opened(follow=10, head=10)
    talk.pulled(10, items=0)
    talk.said(talk.session.out_of_reach("handover_in_progress", 400, talk.now_s))
    talk.passes(0.9)
    assert talk.of_kind("notice") == []
    talk.passes(5)
    assert talk.of_kind("notice") == [{"t": "notice", "code": "handover_in_progress", "retryAfterMs": 400}]
    talk.said(talk.session.followed(token(12), talk.now_s))
    assert talk.pulls == [token(10)]
    assert len(talk.of_kind("welcome")) == 1
    talk.said(talk.session.out_of_reach("store_unavailable", 400, talk.now_s))
    talk.passes(2)
    assert len(talk.of_kind("notice")) == 2


# ---------------------------------------------------------------------- tokens


def test_a_client_is_told_a_minute_before_its_token_ends_and_may_renew_it() -> None:
    talk = opened(life_s=630)  # until the end of the leeway of 30 s
    talk.lives(539)
    assert talk.of_kind("expiring") == []
    talk.lives(2)
    ((in_ms,),) = [[one["inMs"]] for one in talk.of_kind("expiring")]
    assert in_ms == pytest.approx(60_000, abs=2_000)
    assert talk.client({"t": "auth", "token": "fresh"}) == [Verify("fresh")]
    assert talk.said(talk.session.verified(alice(talk.now_s, life_s=630), talk.now_s)) == [Follow()]
    talk.said(talk.session.followed(token(10), talk.now_s))
    talk.lives(500)
    assert not talk.is_over
    talk.lives(60)
    assert len(talk.of_kind("expiring")) == 2


def test_4401_for_a_token_that_was_not_renewed() -> None:
    talk = opened(life_s=630)
    talk.lives(628)
    assert not talk.is_over
    talk.lives(4)
    assert ended(talk) == closing.UNAUTHENTICATED


def test_a_token_of_a_short_life_is_warned_of_at_once() -> None:
    talk = opened(life_s=40)
    talk.lives(1)
    assert [one["inMs"] for one in talk.of_kind("expiring")] == [10_000]


def test_4403_for_another_users_token() -> None:
    talk = opened()
    talk.client({"t": "auth", "token": "bobs"})
    talk.said(talk.session.verified(Holder("bob", math.inf), talk.now_s))
    assert ended(talk) == closing.FORBIDDEN


def test_4401_for_a_token_that_is_refused() -> None:
    talk = opened()
    talk.client({"t": "auth", "token": "nonsense"})
    talk.said(talk.session.refused(closing.UNAUTHENTICATED, "the token does not verify"))
    assert ended(talk) == closing.UNAUTHENTICATED


# ---------------------------------------------------------------------- too much, too slow, silent


def test_4429_for_the_101st_frame_of_a_second() -> None:
    talk = opened()  # the hello was one
    for _ in range(99):
        talk.client({"t": "later-kind"})
    assert not talk.is_over
    talk.client({"t": "later-kind"})
    assert ended(talk) == closing.TOO_MANY


def test_pings_of_the_websocket_count_as_frames() -> None:
    talk = opened()
    for _ in range(99):
        assert talk.said(talk.session.received_control(talk.now_s)) == []
    talk.said(talk.session.received_control(talk.now_s))
    assert ended(talk) == closing.TOO_MANY


def test_a_hundred_frames_a_second_are_taken_for_ever() -> None:
    talk = opened()
    talk.lives(1)
    for _ in range(20):
        for _ in range(100):
            talk.client({"t": "later-kind"})
        talk.lives(1)
    assert not talk.is_over


def test_4008_for_a_client_that_takes_nothing() -> None:
    talk = opened(follow=10)
    talk.pulled(11)
    talk.said(talk.session.unwritten(50, talk.now_s))
    talk.lives(19)
    assert not talk.is_over
    talk.lives(2)
    assert ended(talk) == closing.TOO_SLOW
    assert talk.end is not None
    assert talk.end.is_gone  # a close frame would lie behind what is not taken


def test_a_client_that_takes_slowly_is_kept() -> None:
    """A million bytes at a thousand a second would be cut by a rule that looks only at how long a write lasts."""
    talk = opened()
    talk.client({"t": "call", "id": 1, "do": "fetchMessages"})
    body = b'"%b"' % (b"x" * 1_000_000)
    talk.said(talk.session.called(talk.begun[0].number, 200, body, talk.now_s))
    for left in range(1_000_000, 900_000, -1_000):
        talk.said(talk.session.unwritten(left, talk.now_s))
        talk.lives(1)
    assert not talk.is_over


def test_more_that_is_written_is_no_life_of_the_client() -> None:
    talk = opened()
    lies = 1_000
    for _ in range(30):
        if not talk.is_over:
            talk.client({"t": "ping"})
            lies += len(json.dumps(talk.frames[-1], separators=(",", ":")))
            talk.said(talk.session.unwritten(lies, talk.now_s))
            talk.lives(1)
    assert ended(talk) == closing.TOO_SLOW


def test_while_much_lies_unwritten_no_delta_is_begun() -> None:
    talk = opened(follow=10)
    talk.pulled(10, items=0)
    talk.said(talk.session.unwritten(65_536, talk.now_s))
    assert talk.changed(11, 10) == []
    talk.said(talk.session.unwritten(0, talk.now_s))
    assert talk.pulls == [token(10)]


def test_a_silent_client_is_asked_and_given_up() -> None:
    talk = opened()
    assert talk.passes(24.9) == []
    assert talk.passes(0.2) == [Ping()]
    talk.passes(11)
    assert not talk.is_over
    talk.passes(1)
    assert ended(talk) == closing.UNHEARD
    assert talk.end is not None
    assert talk.end.is_gone


def test_any_byte_counts_as_life() -> None:
    talk = opened()
    for _ in range(10):
        talk.passes(36)
        assert not talk.is_over
        talk.session.heard(talk.now_s)


# ---------------------------------------------------------------------- others' ends


def test_4409_where_another_connection_takes_the_place() -> None:
    talk = opened()
    talk.said(talk.session.displaced("this device has connected elsewhere"))
    assert talk.end == End(closing.ELSEWHERE, "this device has connected elsewhere", is_gone=False)


def test_4503_where_the_server_has_no_room() -> None:
    talk = Talk()
    talk.client({"t": "hello", "token": "t"})
    talk.said(talk.session.refused(closing.OVERLOADED, "no room"))
    assert ended(talk) == closing.OVERLOADED


def test_1012_when_the_server_stops() -> None:
    talk = opened()
    talk.said(talk.session.drain(1234))
    assert talk.end == End(closing.GOING, "retryAfterMs=1234", is_gone=False)


def test_a_server_that_stops_answers_what_was_begun_and_begins_nothing() -> None:
    talk = opened(follow=10)
    talk.pulled(10, items=0)
    talk.client({"t": "call", "id": 1, "do": "sendMessage"})
    (begin,) = talk.begun
    assert talk.said(talk.session.drain(5)) == []
    assert talk.client({"t": "call", "id": 2, "do": "sendMessage"}) == []
    talk.said(talk.session.called(begin.number, 201, b"{}", talk.now_s))
    assert talk.frames[-1]["id"] == 1
    assert ended(talk) == closing.GOING


def test_each_code_is_in_the_table_once() -> None:
    codes = [one.code for one in closing.CODES]
    assert len(set(codes)) == len(codes)
    constants = {value for name, value in vars(closing).items() if name.isupper() and isinstance(value, int)}
    assert constants == {*codes, closing.UNHEARD}


# ---------------------------------------------------------------------- presence


def test_only_a_ping_of_somebody_who_looks_makes_active() -> None:
    talk = opened()
    assert not any(isinstance(one, Active) for one in talk.client({"t": "ping"}))
    assert not any(isinstance(one, Active) for one in talk.client({"t": "ping", "active": False}))
    assert talk.client({"t": "ping", "active": True})[-1] == Active()
    assert [frame["t"] for frame in talk.frames[-3:]] == ["pong"] * 3


def test_a_watch_names_each_user_once() -> None:
    talk = opened()
    assert talk.client({"t": "watch", "users": ["bob", "carol", "bob"]}) == [Watch({"bob": "bob", "carol": "carol"})]
    assert talk.client({"t": "watch", "users": []}) == [Watch({})]


def test_a_view_is_of_one_conversation_or_of_none() -> None:
    talk = opened()
    group = "ab" * 16
    assert talk.client({"t": "view", "recipientId": "bob"}) == [View("bob", None)]
    assert talk.client({"t": "view", "conversationId": group}) == [View(None, group)]
    assert talk.client({"t": "view", "recipientId": "bob", "conversationId": group}) == [View("bob", None)]
    assert talk.client({"t": "view"}) == [View(None, None)]
    for wrong in ({"recipientId": "a b"}, {"recipientId": ""}, {"conversationId": "AB" * 16}, {"conversationId": 5}):
        talk = opened()
        talk.client({"t": "view"} | wrong)
        assert ended(talk) == closing.BAD_FRAME


def test_that_somebody_types_is_passed_on_once_in_three_seconds() -> None:
    talk = opened()
    assert talk.client({"t": "typing"}) == [Typing()]
    talk.now_s += 2.9
    assert talk.client({"t": "typing"}) == []
    talk.client({"t": "view", "recipientId": "bob"})
    assert talk.client({"t": "typing"}) == []
    talk.now_s += 0.2
    assert talk.client({"t": "typing"}) == [Typing()]


def test_what_is_so_for_the_moment_goes_only_to_a_client_that_can_take_it() -> None:
    talk = opened()
    frame = b'{"t":"presence","users":{}}'
    assert talk.said(talk.session.ephemeral(frame)) == [Write(frame)]
    talk.said(talk.session.unwritten(1 << 20, talk.now_s))
    assert talk.said(talk.session.ephemeral(frame)) == []
    talk.said(talk.session.unwritten(0, talk.now_s))
    assert talk.said(talk.session.ephemeral(frame)) == [Write(frame)]
    talk.said(talk.session.refused(closing.SIGNED_OUT, ""))
    assert talk.session.ephemeral(frame) == []
