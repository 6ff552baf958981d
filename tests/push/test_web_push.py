"""Web Push against a push service that reads as a browser does, and the vectors of RFC 8291."""

import base64
import ssl

import http_ece
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from rowbox.cacheserver.push.port import Outcome
from rowbox.cacheserver.push.services.web_push import WebPush, encrypted, made_key, read_key, server_key_of, topic_of
from rowbox.mailbox.push.note import MessageNote, ReadNote
from rowbox.mailbox.push.target import AUTH_BYTES, P256DH_BYTES, PushTarget
from tests.push.services import Browser, PushService, serving, session_here

Tls = tuple[ssl.SSLContext, ssl.SSLContext]
CONVERSATION = "00112233445566778899aabbccddeeff"
NOTE = MessageNote(CONVERSATION, "0192f5a0c0de7abc8123456789abcdef", 1_800_000_000_000_000, 3, "bob")
KEY = read_key(made_key())


def b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_browser_reads_the_example_of_rfc_8291() -> None:
    """Appendix A: so what reads our pushes in these tests reads as the RFC says."""
    private = int.from_bytes(b64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
    body = b64(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    text = http_ece.decrypt(
        body,
        private_key=ec.derive_private_key(private, ec.SECP256R1()),
        auth_secret=b64("BTBZMqHH6r4Tts7J_aSIgg"),
        version="aes128gcm",
    )
    assert text == b"When I grow up, I want to be a watermelon"


def test_what_is_said_is_what_the_browser_reads() -> None:
    browser = Browser()
    target = browser.target("https://push.test/a")
    assert len(target.secret) == P256DH_BYTES + AUTH_BYTES
    bodies = [encrypted(target, b"a text") for _ in range(3)]
    assert [browser.decrypted(body) for body in bodies] == [b"a text"] * 3
    assert len({body[:16] for body in bodies}) == 3, "another salt each time"
    assert all(b"a text" not in body for body in bodies)


async def test_a_push_service_takes_what_it_is_told(tls: Tls) -> None:
    browser, now_s = Browser(), 1_800_000_000.0
    session = session_here(tls[1])
    push = WebPush(session, KEY, "mailto:ops@example.com", lambda: now_s)
    service = PushService({"/a": browser}, server_key_of(KEY), lambda: now_s)
    async with serving(service.handle, tls[0]) as port:
        service.port = port
        target = browser.target(f"https://push.test:{port}/a")
        assert (await push.send(target, NOTE, "1")).outcome is Outcome.OK
        assert (await push.send(target, ReadNote(CONVERSATION, 2), "2")).outcome is Outcome.OK
        message, read = service.told
        assert message.note == {
            "type": "message",
            "conversationId": CONVERSATION,
            "messageId": NOTE.message_id,
            "sentTimestamp": NOTE.sent_timestamp,
            "badge": 3,
            "sender": "bob",
        }
        assert read.note == {"type": "read", "conversationId": CONVERSATION, "badge": 2}
        for told, urgency in ((message, "high"), (read, "normal")):
            assert told.headers["TTL"] == "86400"
            assert told.headers["Urgency"] == urgency
            assert told.headers["Topic"] == topic_of(CONVERSATION) == "ABEiM0RVZneImaq7zN3u_w"
        assert len(service.tokens) == 1, "a token is good for many pushes"
        now_s += 6 * 3600
        assert (await push.send(target, NOTE, "3")).outcome is Outcome.OK
        assert len(service.tokens) == 2, "and is made anew in time"
        gone = browser.target(f"https://push.test:{port}/b")
        assert (await push.send(gone, NOTE, "4")).outcome is Outcome.GONE
        service.answers = [web.Response(status=429, headers={"Retry-After": "7"})]
        assert (await push.send(target, NOTE, "5"))[:2] == (Outcome.LATER, 7000)
    await session.close()


@pytest.mark.parametrize(("left_s", "ttl"), [(3600, "3600"), (7 * 86_400, "86400"), (-1, "0")])
async def test_a_push_service_keeps_what_disappears_no_longer_than_that(tls: Tls, left_s: int, ttl: str) -> None:
    browser, now_s = Browser(), 1_800_000_000.5
    session = session_here(tls[1])
    push = WebPush(session, KEY, "mailto:ops@example.com", lambda: now_s)
    service = PushService({"/a": browser}, server_key_of(KEY), lambda: now_s)
    async with serving(service.handle, tls[0]) as port:
        service.port = port
        expires_us = (1_800_000_000 + left_s) * 1_000_000 + 400_000
        note = replace(NOTE, expires_timestamp=expires_us)
        assert (await push.send(browser.target(f"https://push.test:{port}/a"), note, "1")).outcome is Outcome.OK
        (told,) = service.told
        assert told.headers["TTL"] == ttl
        assert told.note["expiresTimestamp"] == expires_us
    await session.close()


async def test_a_subscription_whose_key_is_none_is_gone() -> None:
    push = WebPush(session_here(ssl.create_default_context()), KEY, "mailto:ops@example.com")
    bad = PushTarget("web", "https://push.test/a", b"\x04" + b"\xff" * 64 + b"a" * AUTH_BYTES)
    assert (await push.send(bad, NOTE, "1")).outcome is Outcome.GONE


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_without_a_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_key(text)
