"""Webhooks: signed as Standard Webhooks has it."""

import base64
import ssl

from rowbox.cacheserver.push.port import Outcome
from rowbox.cacheserver.push.services.webhook import Webhooks, signature
from rowbox.mailbox.push.note import CodeNote, MessageNote
from rowbox.mailbox.push.target import PushTarget
from tests.push.services import Hook, serving, session_here

SECRET = b"twenty-four random bytes"


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the reference implementations."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receiver_takes_what_is_signed_for_it(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    hook, session = Hook(SECRET), session_here(tls[1])
    webhooks = Webhooks(session)
    async with serving(hook.handle, tls[0]) as port:
        url = f"https://hook.test:{port}/in"
        target = PushTarget("webhook", url, SECRET)
        note = MessageNote("00" * 16, "11" * 16, 1, 1, snippet="caf\N{LATIN SMALL LETTER E WITH ACUTE}")
        assert (await webhooks.send(target, note, "1")).outcome is Outcome.OK
        assert (await webhooks.send(target, CodeNote("ab" * 16), "2")).outcome is Outcome.OK
        other = PushTarget("webhook", url, SECRET[::-1])
        assert (await webhooks.send(other, note, "3")).outcome is Outcome.BROKEN
        hook.status = 410
        assert (await webhooks.send(target, note, "4")).outcome is Outcome.GONE
    await session.close()
    assert hook.ids == ["1", "2", "4"]
    assert [told["type"] for told in hook.told] == ["message", "confirm", "message"]
    assert hook.told[0]["snippet"] == note.snippet
    assert hook.told[1] == {"type": "confirm", "code": "ab" * 16}
