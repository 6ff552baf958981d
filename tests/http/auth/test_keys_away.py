"""A whole server whose issuer is away, and one whose users have names that are no userIds."""

import json
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import jwt
import pytest
from msgspec.structs import replace

from rowbox.api.auth.authenticator import TokenAuthenticator, make_authenticator
from rowbox.api.auth.jwks import jwks_keys
from rowbox.api.auth.keys import KeysUnavailable
from rowbox.api.v1.responses import FetchConversationResponse, FetchMessagesResponse
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import SECRET, SETTINGS, Answer, Api, serving
from tests.http.auth.keys import EC_KEY, bearer, jwk, key_set
from tests.http.clock import Clock
from tests.http.scripted_port import ScriptedPort


async def test_while_no_key_counts_it_is_503_and_not_ready(scripted: ScriptedPort) -> None:
    """Not 401: the client's token may be good, and it may come again, or go to another server."""
    clock, answers = Clock(time.time()), [key_set(jwk(EC_KEY, "one"))]

    async def fetch() -> bytes:
        if not answers:
            raise KeysUnavailable("https://issuer.example/keys: no answer")
        return answers.pop()

    settings = AuthSettings(leeway_ms=0)
    authenticator = TokenAuthenticator(jwks_keys(fetch, settings, clock), settings, clock)
    async with serving(scripted, authenticator=authenticator) as api:
        headers = {"Authorization": bearer(EC_KEY, "one", clock)}
        assert (await api.get("/v1/fetchMessages", headers=headers)).status == 200
        assert (await api.admin("/readyz")).json() == {"ready": True}
        clock.now += settings.jwks_max_age_ms / 1000 + 60
        ready = await api.admin("/readyz")
        assert (ready.status, "issuer_keys could not be read for 660 s" in ready.json()["warnings"][0]) == (200, True)
        clock.now = time.time() + settings.jwks_keep_ms / 1000
        answer = await api.get("/v1/fetchMessages", headers=headers)
        problem = answer.problem(503, "keys_unavailable")
        assert problem.retryable
        assert answer.headers["Retry-After"] == "10"
        assert "issuer.example" not in problem.detail
        ready = await api.admin("/readyz?verbose")
        assert (ready.status, "no token counts" in ready.json()["reasons"][0]) == (503, True)
        text = (await api.admin("/metrics")).body.decode()
        assert 'rowbox_auth_keys_valid{keys="issuer_keys"} 0.0' in text


class TestUsersOfAnIssuer:
    """auth0|5f7c, from the token to the page: auth.escape_user_ids."""

    ANN, BEN = "auth0|ann", "samlp|ben/ü=="

    @pytest.fixture
    async def api(self, owner: Owner) -> AsyncIterator[Api]:
        settings = replace(SETTINGS, auth=AuthSettings(escape_user_ids=True))
        authenticator = make_authenticator(settings.auth, lambda: [SECRET], time.time, time.monotonic)
        async with serving(owner, settings, authenticator=authenticator) as api:
            yield api

    def headers(self, subject: str) -> dict[str, str]:
        token = jwt.encode({"sub": subject, "exp": time.time() + 60}, SECRET, algorithm="HS256")
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def send(self, api: Api, sender: str, recipient: str, **more: str) -> Answer:
        fields = {"recipientId": recipient, "messageContent": "hi", "clientMessageId": "1", **more}
        body = json.dumps(fields).encode()
        return await api.request("POST", "/v1/sendMessage", None, headers=self.headers(sender), body=body)

    async def test_they_write_to_each_other_by_the_names_that_they_know(self, api: Api) -> None:
        body = (
            f'{{"recipientId": "{self.BEN}", "senderId": "{self.ANN}", "messageContent": "hi", "clientMessageId": "1"}}'
        )
        sent = await api.request("POST", "/v1/sendMessage", None, headers=self.headers(self.ANN), body=body.encode())
        assert sent.status == 201, sent.body
        path = f"/v1/fetchConversation?userId={quote(self.BEN, safe='')}"
        page = (await api.get(path, None, headers=self.headers(self.BEN))).decode(FetchConversationResponse)
        assert sorted(page.conversations[0].participants) == ["auth0@@7Cann", "samlp@@7Cben@@2F@@C3@@BC@@3D@@3D"]

    async def test_an_answer_is_addressed_to_who_stands_in_the_message(self, api: Api) -> None:
        await self.send(api, self.ANN, self.BEN)
        page = (await api.get("/v1/fetchMessages", None, headers=self.headers(self.BEN))).decode(FetchMessagesResponse)
        await self.send(api, self.BEN, page.messages[0].sender_id, messageContent="ho")
        page = (await api.get("/v1/fetchMessages", None, headers=self.headers(self.ANN))).decode(FetchMessagesResponse)
        assert [message.message_content for message in page.messages] == ["ho", "hi"]
        assert len({message.conversation_id for message in page.messages}) == 1

    async def test_nobody_is_another_by_escaping_himself(self, api: Api) -> None:
        """The userId of auth0|ann as a subject is another user."""
        forged = self.headers("auth0@@7Cann")
        (await api.get("/v1/fetchMessages?userId=auth0@@7Cann", None, headers=forged)).problem(403, "forbidden")

    @pytest.mark.parametrize("recipient", ["", "|" * 33, "\ud800"])
    async def test_a_recipient_who_can_have_no_user_id(self, recipient: str, api: Api) -> None:
        (await self.send(api, "ann", recipient)).problem(400, "bad_request")


async def test_without_the_setting_such_a_recipient_is_refused(api: Api) -> None:
    (await api.send("1", recipient="auth0|ben")).problem(400, "bad_request")
