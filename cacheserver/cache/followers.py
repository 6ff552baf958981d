"""Who follows a mailbox: those whom the owner tells of each change that is shown, until they close.

A long poll waits once (waiters.py); a follower is told again and again, and pulls what changed, or has it in its hand:

    a commit that shows something    Changed(head, prev, frame): the frame is what a pull from `prev` would give
    a load that finds a newer head   Changed(head, prev, None): a write of unknown outcome had landed
    a commit that shows nothing      nothing

A follower holds no mailbox. What is known of a user who is followed is kept here while the mailbox is not in memory, so
an eviction makes no noise.

A device has one connection at a time, over all servers: that which has begun last. So the follower of one that has just
begun ends those of the device's others; unless it comes so late that the client had time to give it up and to begin
another. One that goes on ends nobody, because nobody knows whether its client is still there; it is refused where the
device has a newer one, of which it was not told. Which one is newer an owner knows of those that have begun at it. So
behind a takeover two that both go on do so until the device connects again, or the server of the silent one notices
that its client is gone.

Nothing here is a promise of delivery: the feed from the last token is the truth, and whoever is told too much pulls an
empty page.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.port import HANDED_OVER, REPLACED, Changed, Follow, Lost, Notify, begun_ms_of
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import ConnectedElsewhere, Overloaded, TokenRevoked
from rowbox.mailbox.pages.commit_frame import frame_of
from rowbox.mailbox.pages.cursor import Bookmarks
from rowbox.mailbox.revocation import Bearer

LATE_MS: Final = 5_000
"""By so much a connection may have begun earlier than another one of its device and take its place all the same: their
servers' clocks differ. No client gives a connection up so soon."""


class Follower:
    """One follower of one user: a Following of the port."""

    __slots__ = ("_followed", "_followers", "bearer", "connection", "has_place", "notify")

    def __init__(self, followers: "Followers", followed: "Followed", request: Follow, notify: Notify) -> None:
        self._followers = followers
        self._followed = followed
        self.bearer = request.bearer
        self.connection = request.connection
        self.has_place = request.takes_place
        """Whether it is known here that its device has no newer connection."""
        self.notify = notify

    @property
    def head(self) -> str:
        """See Following."""
        return self._followed.token

    def close(self) -> None:
        """See Following."""
        self._followers.end(self._followed, self)


class Followed:
    """A user with followers.

    `shown` is the version of the newest change that is shown, `known` the greatest that is known of the mailbox: what
    lies between shows nothing. `token` names `shown`.
    """

    __slots__ = ("bookmarks", "followers", "grant", "known", "shown", "token", "user_id")

    def __init__(self, user_id: str, grant: Grant, bookmarks: Bookmarks, head: int) -> None:
        self.user_id = user_id
        self.grant = grant
        self.bookmarks = bookmarks
        self.shown = self.known = head
        self.token = bookmarks.token(head)
        self.followers: list[Follower] = []

    def tell(self, head: int, token: str, frame: bytes | None) -> None:
        """Tells everybody of a newer head, whose token is `token`."""
        changed = Changed(token, self.token, frame)
        self.shown = self.known = head
        self.token = token
        for follower in tuple(self.followers):
            follower.notify(changed)


class Followers:
    """All followers of one owner's users: at most `most`, each of which takes about 600 bytes, and `most_of_a_user`.

    `bookmarks_of` gives the bookmarks of a user's feed.
    """

    def __init__(self, bookmarks_of: Callable[[str], Bookmarks], *, most_of_a_user: int, most: int) -> None:
        self._bookmarks_of = bookmarks_of
        self._most_of_a_user = most_of_a_user
        self._most = most
        self._by_user: dict[str, Followed] = {}
        self.count = 0
        self.frames = 0
        """Changes that were told with the bytes of their commit."""
        self.notices = 0
        """Changes that were told without."""

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._by_user

    @property
    def users(self) -> Collection[str]:
        """Whose mailboxes are followed."""
        return self._by_user.keys()

    def begin(self, request: Follow, grant: Grant, head: int, notify: Notify) -> Follower:
        """Takes in a follower of a mailbox that has this head now. Overloaded where there is no room for one more,
        ConnectedElsewhere where its device has a connection here that is newer than the request's.

        `notify` is called in the loop, from inside of commits and loads: it must neither raise nor take long.
        """
        if self.count >= self._most:
            raise Overloaded("too many clients follow their mailboxes at this server", retry_after_ms=1_000)
        user_id = request.user_id
        followed = self._by_user.get(user_id)
        if followed is None:
            followed = self._by_user[user_id] = Followed(user_id, grant, self._bookmarks_of(user_id), head)
        follower = Follower(self, followed, request, notify)
        over = self._over(followed, follower)
        followed.followers.append(follower)  # before any other ends: nobody is told of a user without followers
        self.count += 1
        for other in over:
            self._lose(followed, other, REPLACED)
        if len(followed.followers) > self._most_of_a_user:
            self._lose(followed, followed.followers[0], REPLACED)
        return follower

    def _over(self, followed: Followed, follower: Follower) -> list[Follower]:
        """Whom the connection of a new follower ends: those of its device, if it has just begun. ConnectedElsewhere."""
        if not follower.connection or follower.bearer is None:
            return []
        device_id = follower.bearer.device_id
        of_device = [
            one
            for one in followed.followers
            if one.connection and one.bearer is not None and one.bearer.device_id == device_id
        ]
        others = [one for one in of_device if one.connection != follower.connection]
        late_from_ms = begun_ms_of(follower.connection) + LATE_MS if follower.has_place else -1
        if any(one.has_place and begun_ms_of(one.connection) > late_from_ms for one in others):
            raise ConnectedElsewhere("this device has connected elsewhere")
        if follower.has_place:
            return others
        follower.has_place = any(one.has_place for one in of_device)
        return []

    def end(self, followed: Followed, follower: Follower) -> None:
        """Tells a follower nothing more. Does nothing to one that has ended."""
        if follower not in followed.followers:
            return
        followed.followers.remove(follower)
        self.count -= 1
        if not followed.followers and self._by_user.get(followed.user_id) is followed:
            del self._by_user[followed.user_id]

    def heads(self, user_ids: Iterable[str]) -> list[str | None]:
        """The tokens of the heads of users who are followed, in their order; None of one who is not."""
        found = [self._by_user.get(user_id) for user_id in user_ids]
        return [None if followed is None else followed.token for followed in found]

    # ------------------------------------------------------------------ what happens to mailboxes

    def applied(self, mailbox: Mailbox, plan: Plan) -> None:
        """Tells who follows the mailbox of a plan that was just applied, while its row's grant holds."""
        followed = self._by_user.get(mailbox.user_id)
        if followed is None:
            return
        if not plan.log:
            followed.known = plan.head
            return
        token = followed.bookmarks.token(plan.head)
        is_next = plan.base_head == followed.known
        frame = frame_of(mailbox, plan, token) if is_next else None
        self._count(frame)
        followed.tell(plan.head, token, frame)

    def loaded(self, user_id: str, head: int) -> None:
        """Tells who follows a mailbox that came into memory with this head, unless they know of it."""
        followed = self._by_user.get(user_id)
        if followed is not None and followed.known < head:
            self._count(None)
            followed.tell(head, followed.bookmarks.token(head), None)

    def revoke(self, refusal_of: Callable[[Bearer], type[TokenRevoked] | None]) -> None:
        """Ends the followers who came with a token that is refused now. Looks at every one: revocations are rare."""
        for followed in list(self._by_user.values()):
            for follower in tuple(followed.followers):
                refused = refusal_of(follower.bearer) if follower.bearer is not None else None
                if refused is not None:
                    self._lose(followed, follower, refused.code)

    def refuse(self, shards: Collection[int]) -> None:
        """Ends the followers of mailboxes of these shards, which somebody else tells of now. Looks at every user."""
        for followed in [one for one in self._by_user.values() if one.grant.shard in shards]:
            for follower in tuple(followed.followers):
                self._lose(followed, follower, HANDED_OVER)

    def _lose(self, followed: Followed, follower: Follower, reason: str) -> None:
        self.end(followed, follower)
        follower.notify(Lost(reason))

    def _count(self, frame: bytes | None) -> None:
        if frame is None:
            self.notices += 1
        else:
            self.frames += 1
