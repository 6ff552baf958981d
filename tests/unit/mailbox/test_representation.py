"""The bytes that clients get. Whoever changes them changes the API: openapi.json, both clients, and every open tab."""

import msgspec

from rowbox.mailbox import representation
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.message import Message, copy_of

CONVERSATION_ID = bytes(range(16))
MESSAGE = Message(
    bytes.fromhex("0192f5a0c0de7abc8123456789abcdef"), CONVERSATION_ID, "bob", ("ann", "bob"), 'h\u00e9, "you"'
)
OWN = (
    b'{"messageId":"0192f5a0c0de7abc8123456789abcdef","conversationId":"000102030405060708090a0b0c0d0e0f",'
    b'"senderId":"bob","participants":["ann","bob"],"messageContent":"h\xc3\xa9, \\"you\\"",'
    b'"sentTimestamp":1730697806048748,"lastUpdatedTimestamp":7,"clientMessageId":"c-1"}'
)
SEEN = (
    b'{"conversationId":"000102030405060708090a0b0c0d0e0f","participants":["ann","bob"],'
    b'"snippet":"h\xc3\xa9, \\"you\\"","lastUpdatedTimestamp":7,"lastMessageId":"0192f5a0c0de7abc8123456789abcdef",'
    b'"lastSenderId":"bob","lastSentTimestamp":1730697806048748,"unreadCount":1}'
)


def test_a_message_in_its_senders_mailbox() -> None:
    assert copy_of(MESSAGE, MESSAGE.sent_us, 7, 1, "c-1", 7).json == OWN
    assert msgspec.json.decode(OWN, type=representation.Message).client_message_id == "c-1"


def test_a_message_in_anothers_mailbox_has_no_client_message_id() -> None:
    copy = copy_of(MESSAGE, MESSAGE.sent_us, 7, 1, None, 7)
    assert copy.json == OWN.replace(b',"clientMessageId":"c-1"', b"")
    assert msgspec.json.decode(copy.json, type=representation.Message).client_message_id is msgspec.UNSET


def test_a_conversation() -> None:
    state = Conversation.new(("ann", "bob"), 1).with_delivered(MESSAGE, 7, 1)
    assert state.to_json(CONVERSATION_ID) == SEEN
    assert msgspec.json.decode(SEEN, type=representation.Conversation).unread_count == 1


def test_a_conversation_of_which_nothing_is_left_says_null() -> None:
    nothing = Conversation.new(("ann",), 7).to_json(CONVERSATION_ID)
    assert b'"snippet":null' in nothing
    assert b'"lastSenderId":null' in nothing
