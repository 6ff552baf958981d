"""A gateway's own settings, read from /conf of its information port, and whether the protocol can live with them."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Final

from rowbox.hbase_schema.doctor.diagnosis import LATE_WRITES_MS, Diagnosis, State, judged
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.settings.config import HBaseSettings

Configuration = Mapping[str, str]
"""HBase's settings by their names."""

IDLE_TIMEOUT: Final = "hbase.thrift.server.socket.read.timeout"
OPERATION_TIMEOUT: Final = "hbase.client.operation.timeout"
RPC_TIMEOUT: Final = "hbase.rpc.timeout"
WRITE_TIMEOUT: Final = "hbase.rpc.write.timeout"
MAX_FRAME_MB: Final = "hbase.regionserver.thrift.framed.max_frame_size_in_mb"
_DEFAULT_FRAME_MB: Final = "2"
_DEFAULTS_MS: Final[Configuration] = {IDLE_TIMEOUT: "60000", OPERATION_TIMEOUT: "1200000", RPC_TIMEOUT: "60000"}
"""HBase's defaults of settings that /conf does not list."""


def fetch_configuration(address: Address, timeout_ms: int) -> Configuration:
    """The settings of the process behind `address`. StoreUnavailable where its /conf does not answer with them."""
    name = f"{address[0]}:{address[1]}"
    connection = http.client.HTTPConnection(*address, timeout=timeout_ms / 1000)
    try:
        connection.request("GET", "/conf?format=json", headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise StoreUnavailable(f"http://{name}/conf answered {response.status}")
        return {entry["key"]: entry["value"] for entry in json.loads(body)["properties"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(f"http://{name}/conf does not tell a gateway's settings: {error}") from error
    finally:
        connection.close()


def judge_configuration(configuration: Configuration, settings: HBaseSettings) -> Iterator[Diagnosis]:
    """Judges the settings of a gateway that decide whether writes end in time and connections live long enough."""
    yield _idle(configuration, settings)
    yield _late_writes(configuration)
    if settings.transport == "framed":
        yield _frames(configuration, settings)


def unknown_configuration(reason: str) -> Iterator[Diagnosis]:
    """The diagnoses of `judge_configuration` where no gateway could be asked; `reason` says why."""
    advice = (
        f"{reason}; look at {OPERATION_TIMEOUT} in the gateway's hbase-site.xml (HBase's default, 20 min, is too long)"
    )
    yield Diagnosis(State.UNKNOWN, "idle time", f"{reason}; look at {IDLE_TIMEOUT} in the gateway's hbase-site.xml")
    yield Diagnosis(State.UNKNOWN, "late writes", advice)


def _idle(configuration: Configuration, settings: HBaseSettings) -> Diagnosis:
    closes_ms = _ms(configuration, IDLE_TIMEOUT)
    return judged(
        well=closes_ms == 0 or closes_ms > settings.idle_ms,  # 0 is a socket's "never"
        subject="idle time",
        finding=f"the gateway closes idle connections after {closes_ms} ms, hbase.idle_ms is {settings.idle_ms}",
        advice=f"raise {IDLE_TIMEOUT}, or set hbase.idle_ms below it",
    )


def _late_writes(configuration: Configuration) -> Diagnosis:
    operation_ms = _ms(configuration, OPERATION_TIMEOUT)
    last_try_ms = max(_ms(configuration, RPC_TIMEOUT), _ms(configuration, WRITE_TIMEOUT, RPC_TIMEOUT))
    return judged(
        well=operation_ms + last_try_ms <= LATE_WRITES_MS,
        subject="late writes",
        finding=f"the gateway gives a write up after {operation_ms} ms, and its last try after {last_try_ms} ms more",
        advice=f"lower {OPERATION_TIMEOUT} and {RPC_TIMEOUT} to {LATE_WRITES_MS} together at most",
    )


def _frames(configuration: Configuration, settings: HBaseSettings) -> Diagnosis:
    text = configuration.get(MAX_FRAME_MB) or _DEFAULT_FRAME_MB
    try:
        takes_bytes = int(text) << 20
    except ValueError as error:
        raise StoreUnavailable(f"{MAX_FRAME_MB} = {text!r} in the gateway's settings is no number") from error
    return judged(
        well=settings.frame_bytes <= takes_bytes,
        subject="frames",
        finding=f"the gateway takes frames of {takes_bytes:,} bytes, hbase.frame_bytes is {settings.frame_bytes:,}",
        advice=f"raise {MAX_FRAME_MB}, or lower hbase.frame_bytes: a larger request ends the connection",
    )


def _ms(configuration: Configuration, name: str, fallback: str = "") -> int:
    """A time in milliseconds, which HBase reads as a bare number. StoreUnavailable where the setting is no number."""
    text = configuration.get(name) or configuration.get(fallback) or _DEFAULTS_MS[fallback or name]
    try:
        return int(text)
    except ValueError as error:
        raise StoreUnavailable(f"{name} = {text!r} in the gateway's settings is no number of milliseconds") from error
