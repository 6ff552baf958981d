"""The EphemeralStore of another process, over a link: API processes share the one of the server that started them."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from rowbox.cacheserver.ephemeral.store import EphemeralAway, EphemeralStore, up_samples
from rowbox.cacheserver.remote.signals import RemoteSignals, signals_calls
from rowbox.cacheserver.rpc.calls import CallSpec, Handlers, Lane
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError

CALL_S: Final = 5.0
"""A link within one machine: who does not answer in this time is stopped."""
AGAIN_S: Final = 1.0

_Answered = TypeVar("_Answered")


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """The argument of EphemeralStore.beat."""

    ages_ms: dict[str, int]


class Users(msgspec.Struct, frozen=True, array_like=True):
    """Users who are asked about, or who hide."""

    users: tuple[str, ...]


class Ages(msgspec.Struct, frozen=True, array_like=True):
    """What EphemeralStore.ages returns."""

    ages_ms: tuple[int | None, ...]


BEAT = CallSpec("ephemeral_beat", Beat, Users, Lane.REQUESTS, writes=False)
AGES = CallSpec("ephemeral_ages", Users, Ages, Lane.REQUESTS, writes=False)
HIDE = CallSpec("ephemeral_hide", str, type(None), Lane.REQUESTS, writes=False)
SHOW = CallSpec("ephemeral_show", str, type(None), Lane.REQUESTS, writes=False)
FORGET = CallSpec("ephemeral_forget", str, type(None), Lane.REQUESTS, writes=False)


def ephemeral_calls(store: EphemeralStore) -> Handlers:
    """The handlers of a store that is never away."""

    async def beat(asked: Beat) -> Users:
        return Users(tuple(await store.beat(asked.ages_ms)))

    async def ages(asked: Users) -> Ages:
        return Ages(tuple(await store.ages(asked.users)))

    handlers = Handlers()
    handlers.add(BEAT, lambda asked, _: beat(asked))
    handlers.add(AGES, lambda asked, _: ages(asked))
    handlers.add(HIDE, lambda user_id, _: store.hide(user_id))
    handlers.add(SHOW, lambda user_id, _: store.show(user_id))
    handlers.add(FORGET, lambda user_id, _: store.forget(user_id))
    handlers.merge(signals_calls(store.signals))
    return handlers


class RemoteEphemeral:
    """The EphemeralStore of the process behind `peer`, which is the caller's to close."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.signals = RemoteSignals(peer)
        self.is_up = False
        self.failures = 0

    async def beat(self, ages_ms: Mapping[str, int]) -> Sequence[str]:
        """See EphemeralStore."""
        return (await self._answer(self._peer.call(BEAT, Beat(dict(ages_ms)), timeout_s=CALL_S))).users

    async def ages(self, users: Sequence[str]) -> Sequence[int | None]:
        """See EphemeralStore."""
        return (await self._answer(self._peer.call(AGES, Users(tuple(users)), timeout_s=CALL_S))).ages_ms

    async def hide(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._answer(self._peer.call(HIDE, user_id, timeout_s=CALL_S))

    async def show(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._answer(self._peer.call(SHOW, user_id, timeout_s=CALL_S))

    async def forget(self, user_id: str) -> None:
        """See EphemeralStore."""
        await self._answer(self._peer.call(FORGET, user_id, timeout_s=CALL_S))

    async def close(self) -> None:
        """See EphemeralStore."""

    def samples(self) -> Iterable[Sample]:
        """See EphemeralStore."""
        return up_samples(is_up=self.is_up, failures=self.failures)

    async def _answer(self, called: Awaitable[_Answered]) -> _Answered:
        try:
            answer = await called
        except RowboxError as error:
            self.is_up = False
            self.failures += 1
            raise EphemeralAway(str(error), AGAIN_S) from error
        self.is_up = True
        return answer
