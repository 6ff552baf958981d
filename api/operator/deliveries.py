"""The operator's call that brings a message to a user who should have it and does not (`rowbox mailbox repair`)."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from rowbox.api.operator.calls import OperatorCall
from rowbox.cacheserver.port import DeliveryPort
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.ids import ID_BYTES, is_user_id
from rowbox.mailbox.message import Message

DELIVER: Final = "deliver"
_MOST_CONTENT_BYTES: Final = 65_535
Id = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{2 * ID_BYTES}}}$")]


class Redelivery(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A message as its sender has it, and who is to get it."""

    user_id: str
    message_id: Id
    conversation_id: Id
    sender_id: str
    participants: tuple[str, ...]
    content: Annotated[str, Meta(min_length=1)]


def delivery_call(port: DeliveryPort) -> OperatorCall:
    """The call, over whoever reaches the recipient's owner. A message that the user has is not delivered twice."""

    async def deliver(body: bytes) -> bytes:
        request = _decoded(body)
        delivered = await port.deliver(request.user_id, [_message(request)])
        return msgspec.json.encode({"delivered": delivered})

    return OperatorCall(DELIVER, deliver)


def redelivery(user_id: str, message: Message) -> bytes:
    """The body of the call."""
    return msgspec.json.encode(
        Redelivery(
            user_id,
            message.message_id.hex(),
            message.conversation_id.hex(),
            message.sender_id,
            message.participants,
            message.content,
        )
    )


def _decoded(body: bytes) -> Redelivery:
    try:
        request = msgspec.json.decode(body, type=Redelivery)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is no Redelivery: {error}") from error
    others = {*request.participants} - {request.sender_id}
    if not all(map(is_user_id, request.participants)) or request.sender_id not in request.participants:
        raise BadRequest("the participants are userIds, and the sender is one of them")
    if request.user_id not in others:
        raise BadRequest("who is to get the message takes part, and did not send it")
    if len(request.content.encode("utf-8", "surrogatepass")) > _MOST_CONTENT_BYTES:
        raise BadRequest(f"the content is more than {_MOST_CONTENT_BYTES} bytes")
    return request


def _message(request: Redelivery) -> Message:
    ids = bytes.fromhex(request.message_id), bytes.fromhex(request.conversation_id)
    return Message(*ids, request.sender_id, request.participants, request.content)
