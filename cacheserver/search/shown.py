"""What a search looks at of a message, as its user is shown it."""

import msgspec

from rowbox.mailbox.message import MessageCopy


class Shown(msgspec.Struct, rename="camel", gc=False):
    """The text of a message, where it is and whose it is. The text is empty where it was unsent, or is the system's."""

    conversation_id: str
    sender_id: str
    message_content: str


_decode = msgspec.json.Decoder(Shown).decode


def shown_of(copy: MessageCopy) -> Shown:
    """What a copy shows."""
    return _decode(copy.json)
