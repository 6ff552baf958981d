"""The handshake: what is proven, what is refused, and what an attacker in between gets of it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rpc.credit import WINDOWS, Window
from rowbox.cacheserver.rpc.handshake import (
    LONGEST_MESSAGE_BYTES,
    VERSIONS,
    Calling,
    Challenge,
    HandshakeError,
    Hello,
    Identity,
    Listening,
    Session,
    refusal,
)
from rowbox.cacheserver.rpc.seal import BrokenSeal

SECRET = b"the secret of the cluster, 32 bytes and more"
OTHER = b"the secret of another cluster, also 32 bytes"
NONCES = b"c" * 32, b"l" * 32
API, OWNER = Identity("chat", "api-1"), Identity("chat", "owner-1")


class Sides(NamedTuple):
    calling: Calling
    listening: Listening


def sides(
    *,
    secrets: tuple[bytes, bytes] = (SECRET, SECRET),
    who: tuple[Identity, Identity] = (API, OWNER),
    expects: str = "",
    versions: tuple[Sequence[int], Sequence[int]] = (VERSIONS, VERSIONS),
) -> Sides:
    calling = Calling(who[0], secrets[0], NONCES[0], expects=expects, versions=versions[0])
    return Sides(calling, Listening(who[1], secrets[1], NONCES[1], WINDOWS, versions=versions[1]))


def shaken(both: Sides, *, binding: tuple[bytes, bytes] = (b"", b"")) -> tuple[Session, Session]:
    """The caller's session and the listener's."""
    challenge = both.listening.greeted(both.calling.hello, binding[1])
    welcome, listens = both.listening.proven(both.calling.challenged(challenge, binding[0]))
    return both.calling.welcomed(welcome), listens


def test_both_know_who_the_other_is_and_have_the_same_keys_one_for_each_direction() -> None:
    calls, listens = shaken(sides())
    assert (calls.remote, listens.remote) == (OWNER, API)
    assert calls.windows == listens.windows == WINDOWS
    assert (calls.sends_under, calls.receives_under) == (listens.receives_under, listens.sends_under)
    assert calls.sends_under != calls.receives_under


def test_the_keys_of_a_session_are_said_to_nobody_and_are_of_this_session_alone() -> None:
    """Whoever reads the wire could seal messages; and a key of two sessions would seal twice under one nonce."""
    keys: set[bytes] = set()
    for nonces in (NONCES, (NONCES[0], b"m" * 32), (b"d" * 32, NONCES[1])):
        calling, listening = Calling(API, SECRET, nonces[0]), Listening(OWNER, SECRET, nonces[1], WINDOWS)
        challenge = listening.greeted(calling.hello, b"")
        proof = calling.challenged(challenge, b"")
        welcome, session = listening.proven(proof)
        for key in (session.sends_under, session.receives_under):
            assert all(key not in said for said in (calling.hello, challenge, proof, welcome))
            keys.add(key)
    assert len(keys) == 2 * 3


def test_a_caller_without_the_secret_is_refused() -> None:
    both = sides(secrets=(OTHER, SECRET))
    proof = both.calling.challenged(both.listening.greeted(both.calling.hello, b""), b"")
    with pytest.raises(HandshakeError, match="does not know the secret") as refused:
        both.listening.proven(proof)
    assert refused.value.reason == "proof"


def test_a_listener_without_the_secret_is_refused() -> None:
    honest, liar = sides(), sides(secrets=(OTHER, OTHER))
    challenge = liar.listening.greeted(honest.calling.hello, b"")
    honest.calling.challenged(challenge, b"")
    liar.calling.challenged(challenge, b"")
    with pytest.raises(HandshakeError, match="does not know the secret"):
        honest.calling.welcomed(_welcome_under(OTHER, honest.calling.hello, liar.listening))


def _welcome_under(secret: bytes, hello: bytes, listening: Listening) -> bytes:
    same = Calling(API, secret, NONCES[0])
    assert same.hello == hello
    return listening.proven(same.challenged(listening.greeted(hello, b""), b""))[0]


def test_a_proof_of_one_direction_proves_nothing_in_the_other() -> None:
    """A reflection: the caller's own proof comes back to it as the listener's, and the other way round."""
    both = sides()
    proof = both.calling.challenged(both.listening.greeted(both.calling.hello, b""), b"")
    mac = msgspec.msgpack.decode(proof)[1]
    with pytest.raises(HandshakeError, match="does not know the secret"):
        both.calling.welcomed(msgspec.msgpack.encode(["welcome", mac]))
    welcome, _ = both.listening.proven(proof)
    with pytest.raises(HandshakeError, match="does not know the secret"):
        both.listening.proven(msgspec.msgpack.encode(["proof", msgspec.msgpack.decode(welcome)[1]]))


def test_a_process_that_is_led_back_to_itself_hangs_up() -> None:
    """An attacker leads a node's call to the node's own listener: nobody else would be authenticated, and it stops."""
    me = sides(who=(OWNER, OWNER))
    with pytest.raises(HandshakeError) as refused:
        me.listening.greeted(me.calling.hello, b"")
    assert refused.value.reason == "itself"
    challenge = sides(who=(API, OWNER)).listening.greeted(sides(who=(API, OWNER)).calling.hello, b"")
    with pytest.raises(HandshakeError) as refused:
        me.calling.challenged(challenge, b"")
    assert refused.value.reason == "itself"


def test_a_listener_tells_no_mac_before_the_caller_has_proven_itself() -> None:
    """Else whoever only knocks could search for the secret at home."""
    challenge = sides().listening.greeted(sides().calling.hello, b"")
    assert msgspec.msgpack.decode(challenge) == ["challenge", [*VERSIONS], "owner-1", NONCES[1], _windows()]


def _windows() -> dict[str, list[int]]:
    return {str(lane): [window.calls, window.size_bytes] for lane, window in WINDOWS.items()}


@pytest.mark.parametrize("changed", ["versions", "incarnation", "nonce", "expects"])
def test_nothing_of_a_hello_can_be_changed_on_its_way(changed: str) -> None:
    other = {"versions": [1, 0], "incarnation": "api-2", "nonce": b"x" * 32, "expects": "owner-1"}
    both = sides()
    hello = msgspec.msgpack.decode(both.calling.hello, type=Hello)
    changed_hello = msgspec.msgpack.encode(msgspec.structs.replace(hello, **{changed: other[changed]}))
    proof = both.calling.challenged(both.listening.greeted(changed_hello, b""), b"")
    with pytest.raises(HandshakeError) as refused:
        both.listening.proven(proof)
    assert refused.value.reason == "proof"


@pytest.mark.parametrize("changed", ["versions", "incarnation", "nonce", "windows"])
def test_nothing_of_a_challenge_can_be_changed_on_its_way(changed: str) -> None:
    other = {"versions": [1, 0], "incarnation": "owner-2", "nonce": b"x" * 32, "windows": {"waits": Window(1, 1)}}
    both = sides()
    challenge = msgspec.msgpack.decode(both.listening.greeted(both.calling.hello, b""), type=Challenge)
    changed_challenge = msgspec.msgpack.encode(msgspec.structs.replace(challenge, **{changed: other[changed]}))
    with pytest.raises(HandshakeError) as refused:
        both.listening.proven(both.calling.challenged(changed_challenge, b""))
    assert refused.value.reason == "proof"


def test_a_proof_for_another_tls_connection_is_refused() -> None:
    with pytest.raises(HandshakeError) as refused:
        shaken(sides(), binding=(b"the certificate of whoever is in between", b"the listener's certificate"))
    assert refused.value.reason == "proof"
    shaken(sides(), binding=(b"one certificate", b"one certificate"))


@pytest.mark.parametrize("nonce", [b"", b"n" * 31, b"n" * 33])
def test_a_nonce_of_another_length_is_refused_by_either_side(nonce: bytes) -> None:
    for calling, listening in (
        (Calling(API, SECRET, nonce), Listening(OWNER, SECRET, NONCES[1], WINDOWS)),
        (Calling(API, SECRET, NONCES[0]), Listening(OWNER, SECRET, nonce, WINDOWS)),
    ):
        with pytest.raises(HandshakeError) as refused:
            calling.challenged(listening.greeted(calling.hello, b""), b"")
        assert refused.value.reason == "garbage"


def test_an_old_exchange_says_nothing_under_a_new_nonce() -> None:
    both = sides()
    proof = both.calling.challenged(both.listening.greeted(both.calling.hello, b""), b"")
    again = Listening(OWNER, SECRET, b"n" * 32, WINDOWS)
    again.greeted(both.calling.hello, b"")
    with pytest.raises(HandshakeError) as refused:
        again.proven(proof)
    assert refused.value.reason == "proof"


@pytest.mark.parametrize(
    ("mine", "theirs", "agreed"),
    [([1], [1], 1), ([1, 2], [1], 1), ([1], [1, 2], 1), ([1, 2], [2, 3], 2), ([2, 3], [3, 2], 3)],
)
def test_the_highest_version_of_both_is_spoken(mine: list[int], theirs: list[int], agreed: int) -> None:
    """N and N - 1 work together, so a cluster is upgraded node by node."""
    assert [session.version for session in shaken(sides(versions=(mine, theirs)))] == [agreed, agreed]


@pytest.mark.parametrize("older", range(2))
def test_what_each_seals_the_other_opens_whichever_of_both_is_the_older(older: int) -> None:
    mine = [VERSIONS[:1] if side == older else VERSIONS for side in range(2)]
    calls, listens = (session.seals() for session in shaken(sides(versions=(mine[0], mine[1]))))
    assert listens[1].open(calls[0].mac(b"asked") + b"asked") == b"asked"
    assert calls[1].open(listens[0].mac(b"answered") + b"answered") == b"answered"
    with pytest.raises(BrokenSeal):
        calls[1].open(calls[0].mac(b"reflected") + b"reflected")


def test_processes_two_versions_apart_have_no_link() -> None:
    both = sides(versions=([1, 2], [3, 4]))
    with pytest.raises(HandshakeError) as refused:
        both.listening.greeted(both.calling.hello, b"")
    assert refused.value.reason == "versions"


def test_another_cluster_and_another_life_are_refused_by_name() -> None:
    for both, reason in (
        (sides(who=(Identity("other", "api-1"), OWNER)), "cluster"),
        (sides(expects="owner-0"), "incarnation"),
    ):
        with pytest.raises(HandshakeError) as refused:
            both.listening.greeted(both.calling.hello, b"")
        assert refused.value.reason == reason
        with pytest.raises(HandshakeError, match=reason):
            both.calling.challenged(refusal(refused.value), b"")


def test_a_caller_notices_another_life_by_itself() -> None:
    challenge = sides().listening.greeted(sides().calling.hello, b"")
    with pytest.raises(HandshakeError) as refused:
        sides(expects="owner-0").calling.challenged(challenge, b"")
    assert refused.value.reason == "incarnation"


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Calling(API, b"short", NONCES[0])


def test_a_step_that_comes_too_early_is_refused() -> None:
    mac = msgspec.msgpack.encode(["proof", b""])
    with pytest.raises(HandshakeError, match="before the challenge"):
        sides().listening.proven(mac)
    with pytest.raises(HandshakeError, match="before the challenge"):
        sides().calling.welcomed(msgspec.msgpack.encode(["welcome", b""]))


@given(st.binary(max_size=LONGEST_MESSAGE_BYTES))
def test_garbage_is_refused_in_every_step(message: bytes) -> None:
    both = sides()
    for step in (
        lambda: both.listening.greeted(message, b""),
        lambda: both.listening.proven(message),
        lambda: both.calling.challenged(message, b""),
        lambda: both.calling.welcomed(message),
    ):
        with pytest.raises(HandshakeError):
            step()


def test_a_handshake_fits_into_what_a_stranger_may_say() -> None:
    both = sides(who=(Identity("c" * 64, "i" * 64), Identity("c" * 64, "j" * 64)), expects="j" * 64)
    challenge = both.listening.greeted(both.calling.hello, b"")
    assert max(len(both.calling.hello), len(challenge)) < LONGEST_MESSAGE_BYTES / 4
