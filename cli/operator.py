"""Calls the server that runs on a data folder, for work that only that server can do (api/operator/calls.py)."""

import http.client
import time
from pathlib import Path
from typing import Final

import msgspec

from rowbox.api.auth.operator import operator_token
from rowbox.api.operator.calls import PREFIX
from rowbox.cli.admin_address import admin_address
from rowbox.cli.secret import load
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import Settings

CONNECT_S: Final = 5.0


class NoServer(RowboxError):
    """Nothing listens at the address that the settings give for the server's admin port."""

    code = "no_server"


class OperatorRefused(RowboxError):
    """The server refused the call; the text is the server's. The call's contract says whether anything was done."""

    code = "operator_refused"


class OperatorOutcomeUnknown(RowboxError):
    """The server was asked, and no answer came. It may have done what it was asked for."""

    code = "operator_outcome_unknown"


class _Said(msgspec.Struct):
    """The body of a refusal: an OperatorError of the call, or a Problem from `api/edge`."""

    detail: str


def ask_server(settings: Settings, name: str, body: bytes, deadline_s: float) -> bytes:
    """The server's answer to the operator's call `name`; `body` and answer are JSON. Waits `deadline_s` for the answer.

    NoServer where no server listens; OperatorRefused; OperatorOutcomeUnknown. StoreUnusable where the data folder has
    no secret, with which the operator's token is signed.
    """
    token = operator_token(load(Path(settings.server.data_dir)), time.time())
    host, port = admin_address(settings)
    connection = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
    try:
        _connect(connection)
        return _exchange(connection, PREFIX + name, body, token, deadline_s)
    finally:
        connection.close()


def _connect(connection: http.client.HTTPConnection) -> None:
    try:
        connection.connect()
    except OSError as error:
        where = f"{connection.host}, admin port {connection.port}"
        raise NoServer(f"no Rowbox listens at {where}: {error.strerror or error}") from error


def _exchange(connection: http.client.HTTPConnection, path: str, body: bytes, token: str, deadline_s: float) -> bytes:
    connection.sock.settimeout(deadline_s)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise OperatorOutcomeUnknown(
            f"the server was asked and did not answer: {str(error) or type(error).__name__}"
        ) from error
    if response.status != http.client.OK:
        raise OperatorRefused(_said(answer, response.status))
    return answer


def _said(answer: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(answer, type=_Said).detail
    except msgspec.MsgspecError:
        return f"what listens there is no Rowbox: it answered with status {status}"
