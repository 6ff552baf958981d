"""What a server makes of the times in the others' beats, look by look."""

from rowbox.cacheserver.node.peer_clocks import PeerClocks
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_peers import Verdict

START_US = 1_800_000_000 * US_PER_S
BEAT_S = 1.0
HOUR_S = 3600.0


class Server:
    """One server's view of another, "peer", the first steward; its own clock is right and is believed."""

    doubt = ""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.beats = 0
        self.told_us: list[int] = []
        self.clocks = PeerClocks(self, "me", 2 * BEAT_S, lambda: self.now_s)

    def wall_us(self) -> int:
        return START_US + int(self.now_s * US_PER_S)

    now_us = seen_us = latest_us = says_us = wall_us

    def told_by_peers(self, off_us: int) -> None:
        self.told_us.append(off_us)

    def hears(self, *ahead_s: float | None, every_s: float = BEAT_S, reaches_mail: bool = True) -> Verdict | None:
        """Looks again and again, with a new beat each time; None: one that says nothing of the time."""
        for each in ahead_s:
            self.now_s += every_s
            self.beats += 1
            clock_us = 0 if each is None else self.wall_us() + int(each * US_PER_S)
            self.sees(NodeCell("peer", self.beats, "alive", "there", reaches_mail, clock_us))
        return self.clocks.verdict()

    def sees(self, *cells: NodeCell) -> None:
        own = NodeCell("me", 1, "alive", "here", clock_us=1)
        places = {cell.incarnation.encode(): cell for cell in (own, *cells)}
        self.clocks.saw(ClusterRow(None, places, {}), ["peer"])


def off_s(verdict: Verdict | None) -> float:
    assert verdict is not None
    assert verdict.off_us is not None
    return verdict.off_us / US_PER_S


def test_an_hour_is_seen_after_three_beats_that_were_seen_to_come() -> None:
    server = Server()
    assert server.hears(HOUR_S, HOUR_S, HOUR_S) is None  # the first may have stood there for long
    assert off_s(server.hears(HOUR_S)) == -HOUR_S
    assert off_s(server.hears(-HOUR_S, -HOUR_S, -HOUR_S)) == HOUR_S - BEAT_S  # it may have said it a beat ago


def test_a_beat_that_was_paused_before_it_was_sent_says_nothing_of_the_clock() -> None:
    server = Server()
    for ahead_s in (0, 0, 0, 0, -60, 0, -60, -60, 0, 0):
        verdict = server.hears(ahead_s)
        assert verdict is None or verdict == (0, 0)


def test_a_beat_that_came_while_nobody_looked_says_nothing_of_the_clock() -> None:
    server = Server()
    assert server.hears(0, 0, 0, 0) == (0, 0)
    server.now_s += 60
    server.sees(NodeCell("peer", 99, "alive", "there", clock_us=server.wall_us() - 50 * US_PER_S))
    assert server.clocks.verdict() is None
    assert server.hears(*[-50.0] * 20, every_s=2.5 * BEAT_S) is None


def test_a_cell_that_nobody_renews_has_no_say_and_takes_nothing_back() -> None:
    server = Server()
    assert off_s(server.hears(*[HOUR_S] * 4)) == -HOUR_S
    for _ in range(5):
        server.now_s += BEAT_S
        server.sees(NodeCell("peer", server.beats, "alive", "there", clock_us=1))
    server.now_s += BEAT_S
    assert server.clocks.verdict() is None
    server.sees(NodeCell("peer", server.beats, "dead", "there"))
    assert server.clocks.verdict() == (0, None)


def test_a_clock_that_is_not_believed_any_more_takes_back_what_it_said() -> None:
    server = Server()
    assert off_s(server.hears(*[HOUR_S] * 4)) == -HOUR_S
    assert server.hears(None) == (0, 0)


def test_another_steward_that_does_not_believe_its_clock_does_not_decide() -> None:
    """Of two that disagree with two, those that agree with the first steward are right by its word."""
    server = Server()
    for owner_reaches_mail, is_off in ((True, False), (False, True)):
        for _ in range(4):
            server.now_s += BEAT_S
            server.beats += 1
            right_us, wrong_us = server.wall_us(), server.wall_us() + int(HOUR_S * US_PER_S)
            owner = NodeCell("peer", server.beats, "alive", "there", owner_reaches_mail, right_us)
            server.sees(owner, *(NodeCell(name, server.beats, "alive", "", True, wrong_us) for name in ("x", "y")))
        assert (off_s(server.clocks.verdict()) != 0) is is_off


def test_a_steward_that_does_not_believe_its_clock_does_not_decide() -> None:
    server = Server()
    server.clocks = PeerClocks(server, "peer", 2 * BEAT_S, lambda: server.now_s)  # the steward's own view
    other = [NodeCell("me", beat, "alive", "here", clock_us=START_US + beat * US_PER_S + 1) for beat in range(1, 6)]

    def looks() -> Verdict | None:
        for cell in other:
            server.now_s += BEAT_S
            cells = {b"1": NodeCell("peer", 1, "alive", "there"), b"2": cell}
            server.clocks.saw(ClusterRow(None, cells, {}), ["peer"])
        return server.clocks.verdict()

    server.now_s = 100.0
    looks()
    assert off_s(looks()) == 0
    server.doubt = "the others have spoken against it"
    assert off_s(looks()) > 0


def test_one_beat_that_differs_makes_a_clock_suspect_and_one_that_agrees_does_not() -> None:
    server = Server()
    assert not server.clocks.is_suspect()
    server.hears(0)
    assert not server.clocks.is_suspect(), "nothing was seen to change"
    assert server.hears(0) is None
    assert not server.clocks.is_suspect()
    assert server.hears(HOUR_S) is None
    assert server.clocks.is_suspect()
