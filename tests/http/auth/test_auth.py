"""Tokens: what verifies, what does not, and what is remembered."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from rowbox.api.auth.authenticator import TokenAuthenticator, issue_token, make_authenticator
from rowbox.api.auth.claims import Claims
from rowbox.api.auth.insecure import InsecureAuthenticator
from rowbox.mailbox.errors import Forbidden, Unauthenticated
from rowbox.mailbox.revocation import Bearer, token_hash
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import SECRET
from tests.http.clock import Clock, claims_of

OTHER_SECRET = b"another secret of at least 32 bytes, for tests"
NO_LEEWAY = AuthSettings(leeway_ms=0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(clock: Clock) -> TokenAuthenticator:
    return make_authenticator(NO_LEEWAY, lambda: [SECRET], clock, clock)


def bearer(clock: Clock, **claims: Any) -> str:
    """A token for alice with `claims`; a claim that is ... is left out."""
    payload = {"sub": "alice", "exp": clock.now + 60} | claims
    return signed({name: value for name, value in payload.items() if value is not ...})


def signed(payload: dict[str, Any], secret: bytes = SECRET, algorithm: str = "HS256") -> str:
    token = jwt.api_jws.encode(json.dumps(payload).encode(), secret, algorithm)  # whatever the claims are
    return f"Bearer {token}"


def unsigned(header: dict[str, Any], payload: dict[str, Any], signature: str = "") -> str:
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return "Bearer " + ".".join([*parts, signature])


async def refused(authenticator: TokenAuthenticator, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as raised:
        await claims_of(authenticator, authorization)
    return str(raised.value)


async def test_an_issued_token_verifies_until_it_expires(clock: Clock, authenticator: TokenAuthenticator) -> None:
    authorization = f"Bearer {issue_token(SECRET, 'alice', 60, admin=False, now=clock.now)}"
    expected = Claims("alice", is_admin=False, valid_until_s=clock.now + 60)
    assert replace(await claims_of(authenticator, authorization), bearer=None) == expected
    clock.now += 59
    assert replace(await claims_of(authenticator, authorization), bearer=None) == expected
    clock.now += 1
    assert "expired" in await refused(authenticator, authorization)


async def test_each_issued_token_has_an_id_and_a_time_by_which_it_can_be_revoked(
    clock: Clock, authenticator: TokenAuthenticator
) -> None:
    tokens = [issue_token(SECRET, "alice", 60, admin=False, now=clock.now) for _ in range(2)]
    bearers = [(await claims_of(authenticator, f"Bearer {token}")).bearer for token in tokens]
    ids = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens]
    assert bearers == [Bearer("alice", clock.now, token_hash(one)) for one in ids]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("issued_at", [..., None, "1", True, -5, 0, [], 1e300])
async def test_a_time_of_issue_that_cannot_be_believed_is_the_beginning(
    issued_at: object, clock: Clock, authenticator: TokenAuthenticator
) -> None:
    assert (await claims_of(authenticator, bearer(clock, iat=issued_at))).bearer == Bearer("alice")


async def test_a_token_that_is_dated_after_the_leeway_counts_as_the_oldest(clock: Clock) -> None:
    authenticator = make_authenticator(AuthSettings(leeway_ms=5000), lambda: [SECRET], clock, clock)
    for ahead_s, believed_s in ((5, clock.now + 5), (5.5, 0.0)):
        claims = await claims_of(authenticator, bearer(clock, iat=clock.now + ahead_s))
        assert claims.bearer == Bearer("alice", believed_s)


@pytest.mark.parametrize("token_id", [..., ""])
async def test_a_token_without_an_id_is_no_other_ones(
    token_id: object, clock: Clock, authenticator: TokenAuthenticator
) -> None:
    assert (await claims_of(authenticator, bearer(clock, jti=token_id))).bearer == Bearer("alice")


async def test_a_remembered_token_is_not_accepted_after_its_time(
    clock: Clock, authenticator: TokenAuthenticator
) -> None:
    authorization = bearer(clock)
    first = await claims_of(authenticator, authorization)
    assert await claims_of(authenticator, authorization) is first
    clock.now += 60
    await refused(authenticator, authorization)


async def test_the_cache_is_bounded_and_forgets_the_longest_unused(clock: Clock) -> None:
    authenticator = make_authenticator(AuthSettings(token_cache_entries=2), lambda: [SECRET], clock, clock)
    one, two, three = (bearer(clock, sub=user) for user in ("one", "two", "three"))
    first = await claims_of(authenticator, one)
    second = await claims_of(authenticator, two)
    assert await claims_of(authenticator, one) is first
    await claims_of(authenticator, three)
    assert await claims_of(authenticator, one) is first
    assert await claims_of(authenticator, two) is not second


async def test_a_cache_of_no_entries_keeps_none(clock: Clock) -> None:
    authenticator = make_authenticator(AuthSettings(token_cache_entries=0), lambda: [SECRET], clock, clock)
    first = await claims_of(authenticator, bearer(clock))
    assert await claims_of(authenticator, bearer(clock)) is not first


async def test_leeway_reaches_over_both_ends(clock: Clock) -> None:
    authenticator = make_authenticator(AuthSettings(leeway_ms=5000), lambda: [SECRET], clock, clock)
    await claims_of(authenticator, bearer(clock, nbf=clock.now + 5))
    await refused(authenticator, bearer(clock, nbf=clock.now + 6))
    await claims_of(authenticator, bearer(clock, exp=clock.now - 4))
    await refused(authenticator, bearer(clock, exp=clock.now - 5))


@pytest.mark.parametrize("claim", ["sub", "exp"])
async def test_a_claim_that_is_required(claim: str, clock: Clock, authenticator: TokenAuthenticator) -> None:
    assert claim in await refused(authenticator, bearer(clock, **{claim: ...}))


@pytest.mark.parametrize("expires", [True, "9999999999", 1e300, float("inf"), float("nan"), [], {}])
async def test_an_expiry_that_is_no_time(expires: object, clock: Clock, authenticator: TokenAuthenticator) -> None:
    assert "exp" in await refused(authenticator, bearer(clock, exp=expires))


@pytest.mark.parametrize("subject", ["", "a b", "alice\n", "a" * 129, 7, None, ["alice"]])
async def test_a_subject_that_is_no_user_id(subject: object, clock: Clock, authenticator: TokenAuthenticator) -> None:
    await refused(authenticator, bearer(clock, sub=subject))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer a.b.c",
        "Bearer ...",
        "Bearer \udcff.x.y",
        "token",
        "Bearer " + "." * 8000,
    ],
)
async def test_a_header_that_holds_no_token(authorization: str | None, authenticator: TokenAuthenticator) -> None:
    await refused(authenticator, authorization)


async def test_the_scheme_is_case_insensitive(clock: Clock, authenticator: TokenAuthenticator) -> None:
    await claims_of(authenticator, bearer(clock).replace("Bearer", "bearer"))


async def test_a_token_of_another_secret_or_algorithm_is_refused(
    clock: Clock, authenticator: TokenAuthenticator
) -> None:
    payload = {"sub": "alice", "exp": clock.now + 60}
    await refused(authenticator, signed(payload, OTHER_SECRET))
    await refused(authenticator, signed(payload, SECRET * 2, "HS512"))
    await refused(authenticator, unsigned({"alg": "none"}, payload))
    await refused(authenticator, unsigned({"alg": "NONE"}, payload, "eA"))
    await refused(authenticator, unsigned({}, payload, "eA"))
    await refused(authenticator, unsigned({"alg": "HS256", "crit": ["x"], "x": 1}, payload, "eA"))


async def test_a_deeply_nested_header_is_refused(authenticator: TokenAuthenticator) -> None:
    header = urlsafe_b64encode(b'{"alg":' + b"[" * 5000).rstrip(b"=").decode()
    await refused(authenticator, f"Bearer {header}.e30.eA")


async def test_audience_and_issuer_are_required_once_configured(clock: Clock) -> None:
    settings = AuthSettings(audience="rowbox", issuer="https://issuer.example")
    authenticator = make_authenticator(settings, lambda: [SECRET], clock, clock)
    right = {"aud": "rowbox", "iss": "https://issuer.example"}
    await claims_of(authenticator, bearer(clock, **right))
    await claims_of(authenticator, bearer(clock, **right | {"aud": ["other", "rowbox"]}))
    for claims in ({}, right | {"aud": "other"}, right | {"iss": "other"}, {"aud": "rowbox"}, {"iss": right["iss"]}):
        await refused(authenticator, bearer(clock, **claims))


async def test_an_audience_is_not_looked_at_unless_configured(clock: Clock, authenticator: TokenAuthenticator) -> None:
    await claims_of(authenticator, bearer(clock, aud="other", iss="other"))


@pytest.mark.parametrize(
    ("scope", "is_admin"),
    [
        ("admin", True),
        ("read admin", True),
        ("administrator", False),
        ("", False),
        (None, False),
        ("read  admin", True),
        ("read\tadmin", False),
        ("read\nadmin", False),
        ("read\u00a0admin", False),
        ("read\u2003admin", False),
        ("read\u001fadmin", False),
        ("Admin", False),
        (["admin"], True),
        (["read", "admin"], True),
        (["read admin"], False),
        ([["admin"], 7, None], False),
        ({"admin": True}, False),
        (True, False),
    ],
)
async def test_the_admin_scope(scope: object, is_admin: bool, clock: Clock, authenticator: TokenAuthenticator) -> None:
    claims = await claims_of(authenticator, bearer(clock, scope=scope))
    assert claims.is_admin is is_admin


@pytest.mark.parametrize("scopes", ["read admin", ["admin"]])
async def test_the_scopes_come_from_the_claim_that_the_issuer_writes(scopes: object, clock: Clock) -> None:
    authenticator = make_authenticator(AuthSettings(scope_claim="scp"), lambda: [SECRET], clock, clock)
    assert (await claims_of(authenticator, bearer(clock, scp=scopes))).is_admin
    assert not (await claims_of(authenticator, bearer(clock, scope="admin"))).is_admin


class TestLife:
    """The largest life of a token: auth.max_token_life_ms."""

    @pytest.fixture
    def authenticator(self, clock: Clock) -> TokenAuthenticator:
        settings = AuthSettings(leeway_ms=0, max_token_life_ms=3600_000)
        return make_authenticator(settings, lambda: [SECRET], clock, clock)

    async def test_a_token_that_lives_longer_is_refused(self, clock: Clock, authenticator: TokenAuthenticator) -> None:
        await claims_of(authenticator, bearer(clock, iat=clock.now, exp=clock.now + 3600))
        detail = await refused(authenticator, bearer(clock, iat=clock.now, exp=clock.now + 3602))
        assert "auth.max_token_life_ms" in detail

    async def test_it_stays_refused_when_most_of_its_life_is_over(
        self, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        await refused(authenticator, bearer(clock, iat=clock.now - 86_400, exp=clock.now + 60))

    async def test_without_iat_nobody_knows_how_long_it_lives(
        self, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        assert "iat is missing" in await refused(authenticator, bearer(clock, exp=clock.now + 60))

    async def test_an_iat_of_the_future_makes_no_life_shorter(
        self, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        await refused(authenticator, bearer(clock, iat=clock.now + 1e9, exp=clock.now + 1e9 + 60))

    @pytest.mark.parametrize("issued", [True, "yesterday", float("nan"), None, []])
    async def test_an_iat_that_is_no_time(
        self, issued: object, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        assert "iat" in await refused(authenticator, bearer(clock, iat=issued))

    @pytest.mark.parametrize("fraction", [0.0, 0.001, 0.999])
    async def test_a_token_of_ours_may_have_all_of_it(
        self, fraction: float, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        clock.now += fraction
        token = issue_token(SECRET, "alice", 3600, admin=False, now=clock.now)
        await claims_of(authenticator, f"Bearer {token}")

    async def test_there_is_none_by_default(self, clock: Clock) -> None:
        authenticator = make_authenticator(NO_LEEWAY, lambda: [SECRET], clock, clock)
        await claims_of(authenticator, bearer(clock, iat=0, exp=clock.now + 1e10))


class TestUserId:
    """Which claim names the user, and users whose names are no userIds."""

    async def test_it_comes_from_the_claim_of_choice(self, clock: Clock) -> None:
        settings = AuthSettings(user_id_claim="https://example.com/uid")
        authenticator = make_authenticator(settings, lambda: [SECRET], clock, clock)
        for subject in ("auth0|5f7c", 7, ...):
            claims = {"https://example.com/uid": "alice", "sub": subject}
            token = bearer(clock, **claims)
            assert (await claims_of(authenticator, token)).user_id == "alice"
        assert "https://example.com/uid is missing" in await refused(authenticator, bearer(clock))

    @pytest.mark.parametrize(
        ("subject", "user_id"),
        [
            ("alice", "alice"),
            ("auth0|5f7c", "auth0@@7C5f7c"),
            ("q83vEjRWeJA/+w==", "q83vEjRWeJA@@2F+w@@3D@@3D"),
            ("a@@b", "a@@40@b"),
            ("Zoë", "Zo@@C3@@AB"),
        ],
    )
    async def test_one_that_is_no_user_id_is_escaped_where_the_settings_say_so(
        self, subject: str, user_id: str, clock: Clock
    ) -> None:
        authenticator = make_authenticator(AuthSettings(escape_user_ids=True), lambda: [SECRET], clock, clock)
        assert (await claims_of(authenticator, bearer(clock, sub=subject))).user_id == user_id

    async def test_without_it_the_refusal_names_the_setting(
        self, clock: Clock, authenticator: TokenAuthenticator
    ) -> None:
        assert "auth.escape_user_ids" in await refused(authenticator, bearer(clock, sub="auth0|5f7c"))

    @pytest.mark.parametrize(
        ("subject", "says"),
        [
            ("|" * 33, "132 characters once escaped; a userId has 128 at most"),
            ("", "empty"),
            ("\ud800", "no Unicode"),
            (7, "no text"),
            (None, "missing"),
        ],
    )
    async def test_what_cannot_be_escaped(self, subject: object, says: str, clock: Clock) -> None:
        authenticator = make_authenticator(AuthSettings(escape_user_ids=True), lambda: [SECRET], clock, clock)
        assert says in await refused(authenticator, bearer(clock, sub=subject))


def test_whom_a_token_may_act_for() -> None:
    alice = Claims("alice", is_admin=False, valid_until_s=0)
    assert alice.acting_for(None) == alice.acting_for("alice") == "alice"
    with pytest.raises(Forbidden):
        alice.acting_for("bob")
    assert Claims("root", is_admin=True, valid_until_s=0).acting_for("bob") == "bob"


class TestInsecure:
    async def test_every_caller_is_whom_he_says_he_is(self) -> None:
        authenticator = InsecureAuthenticator("127.0.0.1")
        claims = await claims_of(authenticator, "Bearer insecure:alice")
        assert (claims.user_id, claims.is_admin) == ("alice", False)

    @pytest.mark.parametrize("authorization", [None, "", "Bearer alice", "Bearer insecure:", "Bearer insecure:a b"])
    async def test_he_has_to_say_it(self, authorization: str | None) -> None:
        with pytest.raises(Unauthenticated):
            await claims_of(InsecureAuthenticator("::1"), authorization)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
    def test_it_refuses_to_listen_to_others(self, host: str) -> None:
        with pytest.raises(ValueError, match="loopback"):
            InsecureAuthenticator(host)

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_it_listens_on_loopback(self, host: str) -> None:
        InsecureAuthenticator(host)
