"""For whom messages of a sender are in the sender's outbox only, because no queue holds them (delivery.py)."""

SPILLED_RECIPIENTS = 100
"""Of one sender, remembered by name; where there are more, all that the sender sends spills until it is read back."""


class Spilled:
    """Of one sender: for whom messages are in the sender's outbox only."""

    __slots__ = ("_recipients", "for_everybody")

    def __init__(self) -> None:
        self._recipients: set[str] = set()
        self.for_everybody = False
        """More than are remembered by name: nothing of this sender is queued before it was read back."""

    def add(self, recipient: str) -> None:
        """Notes one more recipient of whom a message is only in the sender's outbox."""
        if len(self._recipients) >= SPILLED_RECIPIENTS:
            self.for_everybody = True
        if not self.for_everybody:
            self._recipients.add(recipient)

    def holds(self, recipient: str) -> bool:
        """Whether something for `recipient` is, or may be, spilled."""
        return self.for_everybody or recipient in self._recipients
