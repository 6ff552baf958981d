"""Followings that outlive owners and links: whoever follows a user through a router need not know who owns him.

One following is at one owner at a time, told by that one alone. When it is lost there (the shard went away, the link
broke), its client is told that, and it is begun anew at whoever owns the user now; with the head there the client is
told once that there may be something new. So what happened in between costs a pull and nothing else.

What cannot be begun anew is tried again, after pauses that grow, and at once when a newer map names another owner:
after a death there is none for seconds, and the pauses have grown by then.

An owner that is replaced need not know that, and its link may stay up: each CHECK_S every following is compared with
the map. What the old owner still told until then was true, and is no news to who goes on from the new one's head.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from msgspec.structs import replace

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.port import HANDED_OVER, REPLACED, REVOKED, SIGNED_OUT, Changed, Follow, Following, Lost, Notify
from rowbox.mailbox.devices import error_for
from rowbox.mailbox.errors import ConnectedElsewhere, Overloaded, RowboxError, SignedOut, TokenRevoked
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.timing.rarely import Rarely
from rowbox.mailbox.timing.timer_queue import TimerQueue

log = logging.getLogger(__name__)

CHECK_S: Final = 25.0
JUDGE_S: Final = 1.0
"""How often the tokens of other users are judged anew, with which somebody follows: their owners tell nobody here."""
AT_ONCE: Final = 256
"""Followings that are begun anew at a time: of ten thousand that lose their owner in one moment not all ask at once."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
_FOR_GOOD: Final = frozenset({REVOKED, SIGNED_OUT, REPLACED})


class Asking(Protocol):
    """How a router asks owners."""

    async def follow_at(self, request: Follow, notify: Notify, *, is_patient: bool) -> tuple[str, Following]:
        """Begins a following at the owner of the user; which incarnation that is.

        Patient: raises as a fetch does. Else what one try ends with, or HandoverInProgress where there is no owner.
        """
        ...

    def owner_now(self, user_id: str) -> str:
        """The incarnation that owns a user by the newest map; "" where none does."""
        ...

    async def judge(self, bearer: Bearer) -> None:
        """TokenRevoked, by the row of the bearer's own user."""
        ...


class KeptFollowing:
    """A following at whoever owns the user."""

    __slots__ = (
        "_at",
        "_followings",
        "_life",
        "_notify",
        "ended_by",
        "head",
        "incarnation",
        "is_begun",
        "is_closed",
        "is_to_mend",
        "pause_s",
        "request",
        "tried",
    )

    def __init__(self, followings: "Followings", request: Follow, notify: Notify) -> None:
        self._followings = followings
        self._notify = notify
        self._at: Following | None = None
        self._life = 0
        """Which attempt counts: what an earlier one is told is told to nobody."""
        self.request = request
        self.incarnation = ""
        self.head = ""
        """See Following."""
        self.is_begun = False
        """Whether its client has it: before, nothing is told, and the head moves."""
        self.is_closed = False
        self.ended_by = ""
        """Why its owner has ended it for good (Lost); "": none has."""
        self.is_to_mend = False
        self.pause_s = FIRST_PAUSE_S
        """Before the next attempt to mend it, after one that failed."""
        self.tried = ""
        """The owner at which the last attempt to mend it was made; "": there was none."""

    @property
    def other_bearer(self) -> Bearer | None:
        """The token of the request where it is another user's than the one who is followed."""
        bearer = self.request.bearer
        return bearer if bearer is not None and bearer.user_id != self.request.user_id else None

    def close(self) -> None:
        """See Following."""
        if not self.is_closed:
            self.is_closed = True
            self._followings.forget(self)
            self._leave()

    async def begin(self, asking: Asking, *, is_patient: bool) -> bool:
        """Follows at the owner of the user, in place of where it did. False where it was lost or closed meanwhile."""
        self._leave()
        life = self._life

        def notify(told: Changed | Lost) -> None:
            if life == self._life:
                self._told(told)

        incarnation, following = await asking.follow_at(self.request, notify, is_patient=is_patient)
        if life != self._life:
            following.close()
            return False
        self._at, self.incarnation, self.head = following, incarnation, following.head
        if self.request.takes_place:
            self.request = replace(self.request, takes_place=False)  # begun anew it is no newer than it is now
        return True

    def lose(self, lost: Lost) -> None:
        """It is not told of the user any more, where it was."""
        self._leave()
        self._followings.mend(self)
        self._tell(Lost(lost.reason, lost.retry_after_ms, is_over=False))

    def end(self, lost: Lost) -> None:
        """Nothing more will be told."""
        self.ended_by = lost.reason
        self.close()
        self._tell(lost)

    def error(self) -> RowboxError:
        """What to raise of one that was ended for good before its client had it."""
        if self.ended_by != REPLACED:
            return error_for(SignedOut if self.ended_by == SIGNED_OUT else TokenRevoked)
        if self.request.connection:
            return ConnectedElsewhere("this device has connected elsewhere, or too many others follow this user")
        return Overloaded("too many others follow this user", retry_after_ms=1_000)

    def mended(self) -> None:
        """There may be something new: from the head before until now nobody was told."""
        self.is_to_mend, self.pause_s = False, FIRST_PAUSE_S
        self._tell(Changed(self.head, self.head))

    def _told(self, told: Changed | Lost) -> None:
        if isinstance(told, Changed):
            self.head = told.head
            self._tell(told)
        elif told.reason in _FOR_GOOD:
            self.end(told)
        else:
            self.lose(told)

    def _tell(self, told: Changed | Lost) -> None:
        if self.is_begun:
            self._notify(told)

    def _leave(self) -> None:
        self._life += 1
        at, self._at = self._at, None
        self.incarnation = ""
        if at is not None:
            at.close()


class Followings:
    """All followings through one router. `spread` draws a pause between two bounds."""

    def __init__(self, asking: Asking, spread: Callable[[float, float], float]) -> None:
        self._asking = asking
        self._spread = spread
        self._loop = asyncio.get_running_loop()
        self._all: dict[KeptFollowing, None] = {}
        self._to_mend: deque[KeptFollowing] = deque()
        self._pauses = TimerQueue[KeptFollowing](self._loop, self._is_due)
        self._mending: set[asyncio.Task[None]] = set()
        self._checked_s = self._loop.time()
        self._lines = Rarely(self._loop.time)
        self.loop = BackgroundLoop("followings", self._check)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def lost(self) -> int:
        """Followings that are told nothing now, because their owner is not found."""
        return sum(kept.is_to_mend for kept in self._all)

    async def follow(self, request: Follow, notify: Notify) -> Following:
        """See MailboxPort. What is lost later is begun anew, until it is closed."""
        kept = KeptFollowing(self, request, notify)
        other = kept.other_bearer
        if other is not None:
            await self._asking.judge(other)
        try:
            is_begun = await kept.begin(self._asking, is_patient=True)
        except BaseException:
            kept.close()  # what was told meanwhile may have had it mended
            raise
        if not is_begun and kept.is_closed:
            raise kept.error()
        kept.is_begun = True
        self._all[kept] = None
        self.loop.start()
        if other is not None:
            self.loop.wake()
        return kept

    def try_again(self) -> None:
        """To be called when a newer map is known: what could not be begun anew is tried at once at another owner."""
        for kept in [one for one in self._pauses if self._has_moved(one)]:
            self._pauses.remove(kept)
            self._is_due_at_another(kept)

    def forget(self, kept: KeptFollowing) -> None:
        """A following is closed."""
        self._all.pop(kept, None)
        self._pauses.remove(kept)

    def mend(self, kept: KeptFollowing) -> None:
        """A following was lost."""
        if not kept.is_to_mend and not kept.is_closed:
            kept.is_to_mend = True
            self._is_due(kept)

    async def close(self) -> None:
        """Mends nothing more."""
        await self.loop.close()
        self._to_mend.clear()
        self._pauses.close()
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)

    def _is_due(self, kept: KeptFollowing) -> None:
        self._to_mend.append(kept)
        self._begin_some()

    def _has_moved(self, kept: KeptFollowing) -> bool:
        return self._asking.owner_now(kept.request.user_id) not in ("", kept.tried)

    def _is_due_at_another(self, kept: KeptFollowing) -> None:
        kept.pause_s = FIRST_PAUSE_S
        self._is_due(kept)

    def _begin_some(self) -> None:
        while self._to_mend and len(self._mending) < AT_ONCE:
            kept = self._to_mend.popleft()
            if not kept.is_closed:
                task = self._loop.create_task(self._mend(kept), name="following")
                self._mending.add(task)
                task.add_done_callback(self._has_tried)

    def _has_tried(self, task: "asyncio.Task[None]") -> None:
        self._mending.discard(task)
        if not task.cancelled():
            self._begin_some()

    async def _mend(self, kept: KeptFollowing) -> None:
        """One attempt."""
        kept.tried = self._asking.owner_now(kept.request.user_id)
        try:
            is_begun = await kept.begin(self._asking, is_patient=False)
        except TokenRevoked as error:
            kept.end(Lost(error.code))
            return
        except ConnectedElsewhere:
            kept.end(Lost(REPLACED))
            return
        except RowboxError:
            is_begun = False
        except Exception as error:
            is_begun = False
            if number := self._lines.count(type(error).__name__):
                log.exception("a following could not be begun anew (%d since this was last said)", number)
        if kept.is_closed:
            kept.close()
        elif is_begun:
            kept.mended()
        elif self._has_moved(kept):
            self._is_due_at_another(kept)
        else:
            self._pauses.add(kept, self._spread(kept.pause_s / 2, kept.pause_s))
            kept.pause_s = min(LONGEST_PAUSE_S, 2 * kept.pause_s)

    async def _check(self) -> float:
        others = {kept.other_bearer for kept in self._all} - {None}
        for bearer in others:
            assert bearer is not None
            await self._judge(bearer)
        if self._loop.time() - self._checked_s >= CHECK_S:
            self._checked_s = self._loop.time()
            for kept in list(self._all):
                owner = self._asking.owner_now(kept.request.user_id)
                if not kept.is_to_mend and owner and owner != kept.incarnation:
                    kept.lose(Lost(HANDED_OVER))
        return JUDGE_S if others else CHECK_S

    async def _judge(self, bearer: Bearer) -> None:
        try:
            await self._asking.judge(bearer)
        except TokenRevoked as error:
            for kept in [one for one in self._all if one.other_bearer == bearer]:
                kept.end(Lost(error.code))
        except RowboxError:
            return  # nobody can say it now: the next round asks again
