"""The client over the real owner, in process: what it asks is answered, and what is answered it understands."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from rowbox.api.v1 import responses
from rowbox.api.v1.devices import types
from rowbox.client import SIGNED_OUT, AccessDenied, Client, Message, Refused, Reset
from rowbox.client.calls import answers
from rowbox.mailbox import representation
from tests.http.api import Api, token
from tests.support.cluster import version_of


def client_for(rowbox: Api, user: str) -> Client:
    return Client(f"http://127.0.0.1:{rowbox.server.port}", token(user))


@pytest.fixture
async def alice(rowbox: Api) -> AsyncIterator[Client]:
    async with client_for(rowbox, "alice") as client:
        yield client


@pytest.fixture
async def bob(rowbox: Api) -> AsyncIterator[Client]:
    async with client_for(rowbox, "bob") as client:
        yield client


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (answers.Sent, responses.SendMessageResponse),
        (answers.ReadMark, responses.MarkReadResponse),
        (answers.Message, representation.Message),
        (answers.Conversation, representation.Conversation),
        (answers.MessagePage, responses.FetchMessagesResponse),
        (answers.ConversationPage, responses.FetchConversationResponse),
        (answers.Device, types.Device),
    ],
)
def test_the_client_knows_every_field_of_an_answer(ours: type, theirs: type) -> None:
    """And relies on no other: what is required here is always there."""
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(theirs)}
    assert {field.encode_name: field.required for field in msgspec.structs.fields(ours)} == fields


async def test_a_message_is_sent_read_and_found_again(alice: Client, bob: Client) -> None:
    sent = await alice.send("bob", "hello", client_message_id="first")
    assert not sent.duplicate
    assert (await alice.send("bob", "hello", client_message_id="first")).duplicate
    status = await alice.send_status("first")
    assert status is not None
    assert (status.message_id, await alice.send_status("other")) == (sent.message_id, None)

    (conversation,) = [item async for item in bob.conversations()]
    assert (conversation.snippet, conversation.unread_count) == ("hello", 1)
    mark = await bob.mark_read(conversation.conversation_id, sent.message_id)
    assert mark.unread_count == 0

    (theirs,) = [item async for item in bob.messages(conversation.conversation_id)]
    (own,) = [item async for item in alice.messages(conversation.conversation_id)]
    assert (theirs.is_own, own.is_own, own.client_message_id) == (False, True, "first")


async def test_pages_follow_one_another(alice: Client) -> None:
    for number in range(7):
        await alice.send(f"user-{number}", str(number))
        await alice.send("bob", str(number))
    (first, *_) = [item async for item in alice.conversations(page_size=3)]
    assert first.snippet == "6"
    assert len({item.conversation_id async for item in alice.conversations(page_size=3)}) == 8
    contents = [item.message_content async for item in alice.messages(first.conversation_id, page_size=2)]
    assert contents == ["6", "5", "4", "3", "2", "1", "0"]
    assert len([item async for item in alice.messages(page_size=5)]) == 14


async def test_who_starts_again_from_any_token_gets_the_rest_once(alice: Client, bob: Client) -> None:
    """A program may end after any change: with the token it saved there, none is missed and none comes twice."""
    follow = bob.follow()
    start = await anext(follow)
    for number in range(6):
        await alice.send("bob", str(number))
        await bob.send("alice", f"re: {number}")
    changes = [await anext(follow) for _ in range(12)]
    expected = [text for number in range(6) for text in (str(number), f"re: {number}")]
    for place, saved in enumerate([start, *changes[:-1]]):
        again = bob.follow(saved.token)
        rest = [await anext(again) for _ in expected[place:]]
        assert [change.message_content for change in rest if isinstance(change, Message)] == expected[place:]
        assert version_of(again.token) >= version_of(follow.token)  # receipts may have come meanwhile, and show nothing


async def test_a_reset_goes_on_where_its_page_ends(alice: Client) -> None:
    for number in range(60):
        await alice.send("bob", str(number))
    now = (await anext(alice.follow())).token
    reset = await anext(alice.follow(f"{1 << 52}.{now.partition('.')[2]}"))
    assert isinstance(reset, Reset)
    assert (reset.reason, reset.next_cursor is None) == ("future", False)
    older = [message async for message in alice.messages(cursor=reset.next_cursor)]
    contents = [message.message_content for message in (*reset.messages, *older)]
    assert contents == [str(number) for number in reversed(range(60))]


async def test_a_conversation_is_followed_alone(rowbox: Api, alice: Client, bob: Client) -> None:
    conversation_id = (await alice.send("bob", "first")).conversation_id
    follow = bob.follow(conversation_id=conversation_id)
    start = await anext(follow)
    async with client_for(rowbox, "cleo") as cleo:
        await cleo.send("bob", "not this one")
    await alice.send("bob", "second")
    change = await anext(follow)
    assert isinstance(start, Reset)
    assert isinstance(change, Message)
    assert change.message_content == "second"


async def test_refusals_are_typed(rowbox: Api, alice: Client) -> None:
    with pytest.raises(Refused, match="message_too_large") as refused:
        await alice.send("bob", "x" * 65_536)
    assert refused.value.request_id is not None
    with pytest.raises(Refused, match="unknown_conversation"):
        await anext(alice.follow("0", "0" * 32))
    with pytest.raises(Refused, match="unknown_message"):
        await alice.mark_read((await alice.send("bob", "x")).conversation_id, "0" * 32)
    async with Client(f"http://127.0.0.1:{rowbox.server.port}", "no-token") as nobody:
        with pytest.raises(AccessDenied, match="unauthenticated"):
            await anext(nobody.follow())


async def test_a_device_that_is_signed_out_is_told_so_and_asks_for_no_other_token(rowbox: Api) -> None:
    url, asked = f"http://127.0.0.1:{rowbox.server.port}", 0

    def another() -> str:
        nonlocal asked
        asked += 1
        return token("alice")

    async with (
        Client(url, another, device_id="phone") as phone,
        Client(url, token("alice"), device_id="laptop") as laptop,
    ):
        assert (await phone.register_device("Alice's phone", "ios")).current
        await laptop.register_device("Alice's laptop")
        assert {one.device_id: one.current for one in await laptop.fetch_devices()} == {"phone": False, "laptop": True}
        async with phone.follow_changes() as follow:
            assert not (await anext(follow)).is_delta_update
            assert await laptop.sign_out("phone") == ["phone"]
            with pytest.raises(AccessDenied) as raised:
                assert [change.account async for change in follow] == []  # it may be told yet that something changed
            assert raised.value.code == SIGNED_OUT
        with pytest.raises(AccessDenied) as raised:
            await phone.fetch_devices()
        assert (raised.value.code, asked) == (SIGNED_OUT, 1)
        assert await laptop.sign_out("phone") == []


async def test_a_device_is_told_of_messages_somewhere_or_nowhere(rowbox: Api) -> None:
    url = f"http://127.0.0.1:{rowbox.server.port}"
    async with Client(url, token("alice"), device_id="phone") as phone, Client(url, token("alice")) as other:
        with pytest.raises(ValueError, match="without a device_id"):
            await other.set_push(None)
        with pytest.raises(Refused) as raised:
            await phone.set_push(None)
        assert raised.value.code == "unknown_device"
        await phone.register_device()
        assert (await phone.set_push(None)).push is None
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        with pytest.raises(Refused) as raised:
            await phone.set_push({"kind": "webhook", "url": "https://hooks.example.com/", "secret": secret})
        assert raised.value.code == "push_off"
        assert await phone.fetch_push_key() is None


async def test_all_devices_are_signed_out(rowbox: Api) -> None:
    url = f"http://127.0.0.1:{rowbox.server.port}"
    own = token("alice", device="laptop")
    async with Client(url, own, device_id="laptop") as laptop, Client(url, token("alice")) as other:
        await laptop.register_device()
        with pytest.raises(ValueError, match="without a device_id"):
            await other.register_device()
        assert await laptop.sign_out_all(except_device_id="laptop") == []
        with pytest.raises(AccessDenied) as raised:
            await other.fetch_devices()
        assert raised.value.code == SIGNED_OUT
        assert [one.device_id for one in await laptop.fetch_devices()] == ["laptop"]
