"""openapi-python-client makes a client of openapi.json: nothing is left out, its types hold, and it sends a message."""

import json
import sys
from pathlib import Path

import pytest

from tests.generated.tools import run
from tests.http.api import Api, token

pytestmark = pytest.mark.integration

PROGRAMS = Path(sys.executable).parent
MYPY = """
[mypy]
strict = true
[mypy-mailbox_api.client]
# the generator's own text, the same for any document
ignore_errors = true
"""
PROGRAM = """
import json
import sys

from mailbox_api import AuthenticatedClient
from mailbox_api.api.default import fetch_messages, send_message
from mailbox_api.models import (
    FetchMessagesProblem404,
    FetchMessagesResponse,
    SendMessage,
    SendMessageAsOnceSpelled,
    SendMessageProblem422,
    SendMessageResponse,
)

with AuthenticatedClient(sys.argv[1], sys.argv[2]) as client:
    body = SendMessage(message_content="hello", client_message_id="first", recipient_id="bob")
    first = send_message.sync_detailed(client=client, body=body)
    assert isinstance(first.parsed, SendMessageResponse), first
    message_id: str = first.parsed.message_id
    old = SendMessageAsOnceSpelled(message_content="hello", client_message_id="first", recepient_id="bob")
    again = send_message.sync(client=client, body=old)
    assert isinstance(again, SendMessageResponse)
    assert (first.parsed.duplicate, again.duplicate, again.message_id) == (False, True, message_id)

    body.message_content = "another text under the same id"
    refused = send_message.sync(client=client, body=body)
    assert isinstance(refused, SendMessageProblem422), refused
    code: str = refused.code.value
    unknown = fetch_messages.sync(client=client, conversation_id="0" * 32)
    assert isinstance(unknown, FetchMessagesProblem404), unknown

    page = fetch_messages.sync(client=client)
    assert isinstance(page, FetchMessagesResponse)
    print(json.dumps([[message.message_content for message in page.messages], code, unknown.code.value]))
"""


async def test_it_makes_a_client_that_sends(rowbox: Api, document: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mailbox_api"
    make = ("generate", "--path", document, "--output-path", folder, "--meta", "none", "--fail-on-warning")
    printed = await run(PROGRAMS / "openapi-python-client", *make, cwd=tmp_path, path=PROGRAMS)
    assert "WARNING" not in printed
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "mypy.ini").write_text(MYPY)
    await run(sys.executable, "-m", "mypy", program, cwd=tmp_path)
    url = f"http://127.0.0.1:{rowbox.server.port}"
    answer = await run(sys.executable, program, url, token("alice"), cwd=tmp_path)
    assert json.loads(answer) == [["hello"], "client_message_id_reused", "unknown_conversation"]
