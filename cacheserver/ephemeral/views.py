"""Which connections of one process show which conversation, and who types there.

A connection shows one conversation at most. Only a process in which somebody shows a conversation hears of it, and only
those connections are told. What is told is over after a few seconds by itself: nobody says that he has stopped, because
that could be lost.

Whether a user may see who types there, and be seen, his owner says when he begins to show it, each RIGHTS_S, and when
there is reason to doubt it. In a conversation of two it is as with presence: who hides, or where one blocks the other,
neither is seen. In a group he has to be a member, and not to hide. A process believes that until it is asked again.
"""

import asyncio
import math
from collections.abc import Iterable
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.ephemeral.port import AskView, Viewer
from rowbox.cacheserver.ephemeral.signals import Signals
from rowbox.cacheserver.port import AskPresence, FetchGroup, MailboxPort
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.ids import direct_conversation_id

ROUND_S: Final = 5.0
RIGHTS_S: Final = 600.0
SOON_S: Final = 10.0
"""After this it is asked again where nobody answered."""


class _View:
    """What one connection shows."""

    __slots__ = ("due_s", "is_allowed", "number", "request", "viewer")

    def __init__(self, viewer: Viewer, request: AskView) -> None:
        self.viewer = viewer
        self.request = request
        self.is_allowed = False
        self.number = 0
        """Of the last question whether it is."""
        self.due_s = math.inf
        """When that is to be asked again."""


class Views:
    """All of one process. `loop` is to be started and closed, and so are `signals`, which belong to others."""

    def __init__(self, port: MailboxPort, signals: Signals) -> None:
        self._port = port
        self._signals = signals
        self._now_s = asyncio.get_running_loop().time
        self._views: dict[Viewer, _View] = {}
        self._by_conversation: dict[str, dict[_View, None]] = {}
        """Those that are allowed."""
        self.said = 0
        self.told = 0
        self.loop = BackgroundLoop("typing-views", self._round)

    async def view(self, viewer: Viewer, request: AskView) -> None:
        """See PresencePort."""
        view = self._views.get(viewer)
        if view is None or view.request.conversation_id != request.conversation_id:
            self.unview(viewer)
            view = self._views[viewer] = _View(viewer, request)
        view.request, view.due_s = request, math.inf
        view.number += 1
        number = view.number
        self.loop.wake()
        is_allowed = None
        try:
            is_allowed = await self._may(request)
        except RowboxError as error:
            is_allowed = None if error.retryable else False
        finally:
            self._answered(view, number, is_allowed=is_allowed)

    def _answered(self, view: _View, number: int, *, is_allowed: bool | None) -> None:
        if self._views.get(view.viewer) is not view:
            return
        if view.number != number:  # whoever asks one question at a time has not asked the next one yet
            view.due_s = self._now_s()
            return
        if is_allowed is not None:
            self._allow(view, is_allowed=is_allowed)
        view.due_s = self._now_s() + (SOON_S if is_allowed is None else RIGHTS_S)

    def unview(self, viewer: Viewer) -> None:
        """See PresencePort."""
        view = self._views.pop(viewer, None)
        if view is not None:
            self._allow(view, is_allowed=False)

    def type(self, viewer: Viewer) -> None:
        """See PresencePort."""
        view = self._views.get(viewer)
        if view is not None and view.is_allowed:
            self.said += 1
            self._signals.say(view.request.conversation_id.hex(), view.request.user_id)

    def doubt(self, viewer: Viewer) -> None:
        """See PresencePort."""
        view = self._views.get(viewer)
        if view is not None:
            self._doubt([view])

    def part(self, one: str, other: str) -> None:
        """See PresencePort."""
        conversation_id = direct_conversation_id(one, other)
        self._doubt(view for view in self._views.values() if view.request.conversation_id == conversation_id)

    def choose(self, user_id: str) -> None:
        """The user has chosen whether he hides."""
        self._doubt(view for view in self._views.values() if view.request.user_id == user_id)

    def samples(self) -> Iterable[Sample]:
        """The metrics."""
        text = "Connections that are told who types in the conversation that they show."
        yield "rowbox_typing_viewers", "gauge", text, {}, sum(map(len, self._by_conversation.values()))
        text = "Times that a client said that its user types, and that was passed on."
        yield "rowbox_typing_said_total", "counter", text, {}, self.said
        text = "Times that a connection was told that another user types."
        yield "rowbox_typing_told_total", "counter", text, {}, self.told

    # ------------------------------------------------------------------ who may

    async def _may(self, request: AskView) -> bool | None:
        """None: nobody can say that now."""
        peers = () if request.peer_id is None else (request.peer_id,)
        terms = await self._port.presence_terms(AskPresence(request.user_id, peers, request.bearer))
        if terms.hides:
            return False
        if request.peer_id is not None:
            return terms.sees[0]
        await self._port.fetch_group(FetchGroup(request.user_id, request.conversation_id, request.bearer))
        return True

    def _allow(self, view: _View, *, is_allowed: bool) -> None:
        if view.is_allowed is is_allowed:
            return
        view.is_allowed = is_allowed
        conversation_id = view.request.conversation_id.hex()
        views = self._by_conversation.setdefault(conversation_id, {})
        if is_allowed:
            if not views:
                self._signals.hear(conversation_id, self._heard)
            views[view] = None
            return
        views.pop(view, None)
        if not views:
            del self._by_conversation[conversation_id]
            self._signals.unhear(conversation_id, self._heard)

    def _doubt(self, views: Iterable[_View]) -> None:
        """These may see nothing any more: so it is until their owners say otherwise, within ROUND_S."""
        for view in list(views):
            self._allow(view, is_allowed=False)
            view.number += 1  # what is being asked now may be answered as it was before
            view.due_s = self._now_s()

    # ------------------------------------------------------------------ who types

    def _heard(self, conversation_id: str, user_id: str) -> None:
        for view in tuple(self._by_conversation.get(conversation_id, ())):
            if view.request.user_id != user_id:
                self.told += view.viewer.typed(conversation_id, user_id)

    async def _round(self) -> float | None:
        now_s = self._now_s()
        for view in [view for view in self._views.values() if view.due_s <= now_s]:
            view.due_s = math.inf
            view.viewer.view_again()
        return ROUND_S if self._views else None
