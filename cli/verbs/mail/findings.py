"""Findings of a walk over mailboxes, as the verbs print them: the first MOST_SHOWN, and how many there were."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from rowbox.mailbox.check.findings import Code, Finding

MOST_SHOWN: Final = 1000
"""The most findings that are listed. Further ones are only counted."""

MOST_NAMED: Final = 3
"""Users who are named in an advice."""


class Findings(msgspec.Struct):
    """What was found so far."""

    shown: list[Finding] = msgspec.field(default_factory=list)
    count: int = 0

    def add(self, finding: Finding) -> None:
        """Takes in one more."""
        self.count += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(finding)

    def lines(self) -> Iterable[str]:
        """A line for each that is listed, and one that says how many are not."""
        yield from (f"{code}  {user_id}: {text}" for code, user_id, text in self.shown)
        if self.count > len(self.shown):
            yield f"... and {self.count - len(self.shown):,} more"
        yield from self._advice()

    def _advice(self) -> Iterator[str]:
        """What is to be done about it, where that can be said here."""
        missing = {user_id for code, user_id, _ in self.shown if code == Code.COPY_MISSING}
        if missing:
            verbs = ", ".join(f"`rowbox mailbox repair {user_id}`" for user_id in sorted(missing)[:MOST_NAMED])
            more = " and so on" if len(missing) > MOST_NAMED else ""
            yield f"copy_missing is mended by {verbs}{more}: a running server delivers what is missing."
        if any(code != Code.COPY_MISSING for code, _, _ in self.shown):
            yield 'No verb mends the rest: first read "An audit finds something" in docs/operations.md.'

    @property
    def summary(self) -> str:
        """How many there are, in words."""
        if not self.count:
            return "nothing found"
        return f"{self.count:,} findings" if self.count != 1 else "1 finding"

    def as_fields(self) -> Mapping[str, Any]:
        """The fields of a JSON object."""
        shown = [{"code": code, "userId": user_id, "text": text} for code, user_id, text in self.shown]
        return {"clean": self.count == 0, "findingCount": self.count, "findings": shown}
