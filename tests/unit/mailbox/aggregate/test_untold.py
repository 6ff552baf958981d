"""What authors are to be told of a mailbox, from its log and from its index."""

from rowbox.mailbox.account.deeds import DeleteConversation
from rowbox.mailbox.account.own_conversations import OwnConversations
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import NewSend, Sent
from rowbox.mailbox.aggregate.untold import delivered, read_receipt, untold_reads
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, message_id, payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import Receipt

NOW_US = 1_800_000_000_000_000
SECOND_US = 1_000_000
LIMITS = Limits(100 * 86_400_000, 7 * 86_400_000, 7 * 86_400_000, 64, 1 << 20)
WITH_ANN = direct_conversation_id("ann", "bob")


class Bob:
    """Bob's mailbox; each step is a second after the one before."""

    def __init__(self) -> None:
        self.mailbox = Mailbox("bob", LIMITS, epoch=1)
        self.now_us = NOW_US

    def gets(self, sender: str = "ann") -> bytes:
        identifier = message_id(self._tick(), 0)
        plan = self.mailbox.plan(self.now_us)
        plan.deliver_new(Message(identifier, direct_conversation_id(sender, "bob"), sender, (sender, "bob"), "hello"))
        self.mailbox.apply(plan)
        return identifier

    def reads(self, identifier: bytes) -> None:
        plan = self.mailbox.plan(self._tick())
        plan.mark_read(WITH_ANN, identifier)
        self.mailbox.apply(plan)

    def sends(self) -> bytes:
        self._tick()
        hashes = client_id_hash(str(self.now_us)), payload_hash(WITH_ANN, "hi")
        new = NewSend("bob", WITH_ANN, ("ann", "bob"), "hi", str(self.now_us), *hashes, 0)
        plan = self.mailbox.plan(self.now_us)
        sent = plan.send(new)
        assert isinstance(sent, Sent)
        self.mailbox.apply(plan)
        return sent.record.message_id

    def deletes(self) -> None:
        plan = self.mailbox.plan(self._tick())
        OwnConversations(plan).delete(DeleteConversation(WITH_ANN))
        self.mailbox.apply(plan)

    def is_told(self, mark: bytes) -> None:
        """Of his own messages: Ann has them up to there."""
        plan = self.mailbox.plan(self._tick())
        assert plan.take_receipt(Receipt(WITH_ANN, "ann", mark))
        self.mailbox.apply(plan)

    def has_told(self, mark: bytes) -> None:
        plan = self.mailbox.plan(self._tick())
        plan.note_told({WITH_ANN: mark})
        self.mailbox.apply(plan)

    def forgets_the_log(self) -> None:
        self.mailbox.log.clear()
        self.mailbox.log_floor = self.mailbox.head

    @property
    def head(self) -> int:
        return self.mailbox.head

    def delivered(self, since: int, until: int) -> dict[str, bytes]:
        return {author: receipt.delivered for author, receipt in delivered(self.mailbox, since, until)}

    def _tick(self) -> int:
        self.now_us += SECOND_US
        return self.now_us


def test_delivered_is_what_came_up_to_a_token_and_not_what_came_behind_it() -> None:
    bob = Bob()
    begun = bob.head
    first = bob.gets()
    token = bob.head
    second = bob.gets()
    of_carol = bob.gets("carol")
    assert bob.delivered(begun, token) == {"ann": first}
    assert bob.delivered(token, bob.head) == {"ann": second, "carol": of_carol}


def test_without_the_log_only_that_is_told_of_which_nothing_came_behind_the_token() -> None:
    bob = Bob()
    begun = bob.head
    bob.gets()
    of_carol = bob.gets("carol")
    token = bob.head
    bob.gets()
    bob.forgets_the_log()
    assert bob.delivered(begun, token) == {"carol": of_carol}


def test_what_was_told_to_be_read_is_not_told_to_be_delivered() -> None:
    bob = Bob()
    begun = bob.head
    first = bob.gets()
    bob.has_told(first)
    assert bob.delivered(begun, bob.head) == {}
    second = bob.gets()
    assert bob.delivered(begun, bob.head) == {"ann": second}


def test_of_what_was_deleted_before_a_client_came_back_nothing_is_delivered() -> None:
    """It was shown nothing of it."""
    bob = Bob()
    begun = bob.head
    bob.gets()
    of_carol = bob.gets("carol")
    bob.deletes()
    assert bob.delivered(begun, bob.head) == {"carol": of_carol}
    bob.forgets_the_log()
    assert bob.delivered(begun, bob.head) == {"carol": of_carol}
    again = bob.gets()
    bob.forgets_the_log()
    assert bob.delivered(begun, bob.head) == {"ann": again, "carol": of_carol}


def test_a_receipt_of_ones_own_messages_delivers_nothing() -> None:
    bob = Bob()
    first = bob.gets()
    own = bob.sends()
    begun = bob.head
    bob.is_told(own)
    assert bob.delivered(begun, bob.head) == {}
    assert bob.delivered(0, bob.head) == {"ann": first}
    bob.gets()
    own = bob.sends()
    bob.gets()
    begun = bob.head
    bob.is_told(own)
    assert bob.delivered(begun, bob.head) == {}


def test_when_somebody_read_is_not_known_after_a_load_and_never_before_the_sending() -> None:
    bob = Bob()
    first = bob.gets()
    bob.reads(first)
    assert [receipt.read_us for _, receipt in untold_reads(bob.mailbox)] == [0]
    for read_us, told_us in ((bob.now_us, bob.now_us), (NOW_US, bob.now_us - SECOND_US + 1)):
        found = read_receipt(bob.mailbox, WITH_ANN, read_us)
        assert found == ("ann", Receipt(WITH_ANN, "bob", first, first, told_us))
    bob.has_told(first)
    assert read_receipt(bob.mailbox, WITH_ANN, bob.now_us) is None


def test_what_was_noted_stays_where_receipts_come_and_is_not_written_again() -> None:
    bob = Bob()
    first, own = bob.gets(), bob.sends()
    bob.has_told(first)
    bob.is_told(own)
    assert read_receipt(bob.mailbox, WITH_ANN) is None
    head = bob.head
    bob.has_told(first)
    assert bob.head == head
