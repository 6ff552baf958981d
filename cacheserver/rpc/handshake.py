"""Who is at the other end of a link: four messages, after which both sides have proven that they know the secret. Pure.

    caller                                          listener
      Hello(versions, cluster, incarnation, nonce, expects)  ->
                                              <-  Challenge(versions, incarnation, nonce, windows)
      Proof(mac)                                             ->   verified, before anything is served
                                              <-  Welcome(mac)    verified, before anything is asked

Each MAC is HMAC-SHA256 under the cluster's secret over a label and everything that was said: Hello and Challenge as the
bytes they came in, and what binds them to the TLS connection (endpoint.py), so nothing of it can be changed on the way.

- The label names the direction. What one side has proven says nothing in the other's place (a reflection).
- The caller proves first: whoever only knocks is told no MAC, and can search for no secret.
- Nobody answers to its own incarnation: a process that is led back to itself hangs up.
- The keys of the session (seal.py) are made of the same, under labels of their own. A relay learns none of them.
- The version is the highest that both have; each process speaks two, so that a cluster is upgraded node by node.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

import msgspec

from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.credit import Window, Windows
from rowbox.cacheserver.rpc.seal import Seal, seal_of

VERSIONS: Final = (1, 2)
"""What this process speaks. 2 has another seal (seal.py). When there is a third, it is (2, 3)."""
NONCE_BYTES: Final = 32
SHORTEST_SECRET: Final = 32
LONGEST_MESSAGE_BYTES: Final = 4_096
"""Of this handshake: whoever has proven nothing yet has no more memory than this."""

_CALLER: Final = b"rowbox link: the caller knows the secret"
_LISTENER: Final = b"rowbox link: the listener knows the secret"
_CALLER_KEY: Final = b"rowbox link: the key of the caller's messages"
_LISTENER_KEY: Final = b"rowbox link: the key of the listener's messages"


_T = TypeVar("_T")


class Identity(msgspec.Struct, frozen=True):
    """Who a process is: one life of a server, in one cluster."""

    cluster: str
    incarnation: str


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """`expects` is the incarnation that is to answer, "" for any."""

    versions: list[int]
    cluster: str
    incarnation: str
    nonce: bytes
    expects: str


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag="challenge"):
    versions: list[int]
    incarnation: str
    nonce: bytes
    windows: dict[str, Window]


class Proof(msgspec.Struct, frozen=True, array_like=True, tag="proof"):
    mac: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    mac: bytes


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """Instead of the next message: why there is no link. Nobody has proven it, so it is told to people only."""

    reason: str


REASONS: Final = frozenset({"cluster", "garbage", "incarnation", "itself", "proof", "refused", "versions"})

PASSING: Final = frozenset({"incarnation"})
"""Those that are nobody's fault and pass: a server came back, and others look for its earlier life still."""


class HandshakeError(ValueError):
    """There is no link to this peer. `reason` is one of REASONS."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Session(NamedTuple):
    """What both sides agreed on. The keys are those of the messages that are sent, and that are received."""

    version: int
    remote: Identity
    windows: Windows
    sends_under: bytes
    receives_under: bytes

    def seals(self) -> tuple[Seal, Seal]:
        """Of the messages that are sent, and that are received."""
        return seal_of(self.version, self.sends_under), seal_of(self.version, self.receives_under)


class Calling:
    """The caller's side. `hello` is what it says first; `challenged` and `welcomed` take what comes, in this order."""

    def __init__(
        self, me: Identity, secret: bytes, nonce: bytes, *, expects: str = "", versions: Sequence[int] = VERSIONS
    ) -> None:
        self._me = me
        self._secret = _long_enough(secret)
        self._expects = expects
        self._versions = versions
        self._said = b""
        self._session: Session | None = None
        self.hello = _encode(Hello(list(versions), me.cluster, me.incarnation, nonce, expects))

    def challenged(self, message: bytes, binding: bytes) -> bytes:
        """The Proof that answers a Challenge; HandshakeError. `binding` names the TLS connection, b"" for none."""
        challenge = _decoded(_challenge, message)
        if isinstance(challenge, Refusal):
            raise _refused(challenge)
        if self._expects not in {"", challenge.incarnation}:
            raise HandshakeError("incarnation", f"{challenge.incarnation!r:.80} is here, not {self._expects!r}")
        version = _agreed(self._versions, challenge.versions, self._me.incarnation, challenge.incarnation)
        _check_nonce(challenge.nonce)
        self._said = _transcript(self.hello, message, binding)
        remote = Identity(self._me.cluster, challenge.incarnation)
        keys = _mac(self._secret, _CALLER_KEY, self._said), _mac(self._secret, _LISTENER_KEY, self._said)
        self._session = Session(version, remote, challenge.windows, *keys)
        return _encode(Proof(_mac(self._secret, _CALLER, self._said)))

    def welcomed(self, message: bytes) -> Session:
        """The session, now that the listener has proven itself; HandshakeError."""
        welcome = _decoded(_welcome, message)
        if isinstance(welcome, Refusal):
            raise _refused(welcome)
        if self._session is None:
            raise HandshakeError("garbage", "a welcome before the challenge")
        _verify(self._secret, _LISTENER, self._said, welcome.mac)
        return self._session


class Listening:
    """The listener's side. `greeted` and `proven` take what comes, in this order."""

    def __init__(
        self, me: Identity, secret: bytes, nonce: bytes, windows: Windows, *, versions: Sequence[int] = VERSIONS
    ) -> None:
        self._me = me
        self._secret = _long_enough(secret)
        self._nonce = nonce
        self._windows = windows
        self._versions = versions
        self._said = b""
        self._session: Session | None = None

    def greeted(self, message: bytes, binding: bytes) -> bytes:
        """The Challenge that answers a Hello; HandshakeError. `binding` names the TLS connection, b"" for none."""
        hello = _decoded(_hello, message)
        if hello.cluster != self._me.cluster:
            raise HandshakeError("cluster", f"a caller of the cluster {hello.cluster!r:.80}")
        if hello.expects not in {"", self._me.incarnation}:
            raise HandshakeError("incarnation", f"a caller that looks for {hello.expects!r:.80}")
        version = _agreed(self._versions, hello.versions, self._me.incarnation, hello.incarnation)
        _check_nonce(hello.nonce)
        challenge = _encode(Challenge(list(self._versions), self._me.incarnation, self._nonce, dict(self._windows)))
        self._said = _transcript(message, challenge, binding)
        remote = Identity(hello.cluster, hello.incarnation)
        keys = _mac(self._secret, _LISTENER_KEY, self._said), _mac(self._secret, _CALLER_KEY, self._said)
        self._session = Session(version, remote, self._windows, *keys)
        return challenge

    def proven(self, message: bytes) -> tuple[bytes, Session]:
        """The Welcome that answers a Proof, and the session; HandshakeError."""
        proof = _decoded(_proof, message)
        if self._session is None:
            raise HandshakeError("garbage", "a proof before the challenge")
        _verify(self._secret, _CALLER, self._said, proof.mac)
        return _encode(Welcome(_mac(self._secret, _LISTENER, self._said))), self._session


def refusal(error: HandshakeError) -> bytes:
    """What whoever is refused is told: one word, which names no secret and nothing of this process."""
    return _encode(Refusal(error.reason))


_encode = msgspec.msgpack.Encoder().encode
_hello = msgspec.msgpack.Decoder(Hello)
_challenge: "msgspec.msgpack.Decoder[Challenge | Refusal]" = msgspec.msgpack.Decoder(Challenge | Refusal)
_proof = msgspec.msgpack.Decoder(Proof)
_welcome: "msgspec.msgpack.Decoder[Welcome | Refusal]" = msgspec.msgpack.Decoder(Welcome | Refusal)


def _refused(refusal: Refusal) -> HandshakeError:
    reason = refusal.reason if refusal.reason in REASONS else "refused"
    return HandshakeError(reason, f"the peer refuses: {reason}")


def _decoded(decoder: "msgspec.msgpack.Decoder[_T]", message: bytes) -> _T:
    try:
        return decoder.decode(message)
    except frames.UNREADABLE as error:
        raise HandshakeError("garbage", f"no message of a handshake: {error}") from error


def _agreed(mine: Sequence[int], theirs: Sequence[int], me: str, remote: str) -> int:
    """The version to speak. HandshakeError where there is none, or the peer is this process itself."""
    if remote == me:
        raise HandshakeError("itself", "this process has called itself")
    if both := set(mine) & set(theirs):
        return max(both)
    raise HandshakeError("versions", f"the peer speaks {sorted(theirs)[:8]}, this process {sorted(mine)}")


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise HandshakeError("garbage", "a nonce of another length")


def _transcript(hello: bytes, challenge: bytes, binding: bytes) -> bytes:
    """All that was said, so that no two exchanges have the same: each part behind its length."""
    return b"".join(len(part).to_bytes(4) + part for part in (hello, challenge, binding))


def _mac(secret: bytes, label: bytes, said: bytes) -> bytes:
    return hmac.digest(secret, len(label).to_bytes(4) + label + said, sha256)


def _verify(secret: bytes, label: bytes, said: bytes, mac: bytes) -> None:
    if not hmac.compare_digest(_mac(secret, label, said), mac):
        raise HandshakeError("proof", "the peer does not know the secret of this cluster")


def _long_enough(secret: bytes) -> bytes:
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"the secret of a cluster has at least {SHORTEST_SECRET} bytes")
    return secret
