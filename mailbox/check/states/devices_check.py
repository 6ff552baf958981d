"""The invariants of a user's devices."""

from rowbox.mailbox.check.findings import Code, Report
from rowbox.mailbox.devices import MOST_DEVICES, MOST_SIGNED_OUT, Devices


def check_devices(state: Devices, report: Report) -> None:
    """Whether each device is signed in once, or is signed out, and they are no more than there may be; and whether no
    device has proven to have what came later than the state that says so.
    """
    ids = [one.device_id for one in state.devices] + [one.device_id for one in state.signed_out]
    if len(set(ids)) < len(ids):
        report(Code.INDEX_CELL, "a device is signed in twice, or is signed out as well")
    if len(state.devices) > MOST_DEVICES or len(state.signed_out) > MOST_SIGNED_OUT:
        report(
            Code.INDEX_CELL, f"{len(state.devices)} devices are signed in, and {len(state.signed_out)} were signed out"
        )
    late = max((one.acked for one in state.devices), default=0)
    if late > state.version or not 0 < state.created_version <= state.version:
        text = f"a device has all up to {late}, and the first one came at {state.created_version}"
        report(Code.INDEX_CELL, f"{text}: the state is of {state.version}")
