"""The invariant of a user's revoked tokens."""

from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.revocation import ALL_TOKENS_S, Revocation


def check_revocation(state: Revocation, report: Report) -> None:
    """Whether no token is revoked that is issued after the revocation, as far as its version tells."""
    if state.before_s != ALL_TOKENS_S and state.before_s * US_PER_S > state.version + US_PER_S:
        report(Code.INDEX_CELL, f"tokens are revoked up to {state.before_s}, by the revocation of {state.version}")
