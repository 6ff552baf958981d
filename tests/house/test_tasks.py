"""Every place that begins a task or sets a timer of the loop, and what ends it.

A task that nobody awaits ends silently at an error that nobody expected; that is what `BackgroundLoop` is for. So
whoever needs another task or timer says here what ends it, or uses a `BackgroundLoop` or a `TimerQueue`.
"""

import ast
from collections import Counter
from pathlib import Path

from tests.house.layering import folders

ROOT = Path(__file__).parents[2]
BEGIN = frozenset({"create_task", "ensure_future", "call_later", "call_at"})
ENDS = {
    "api/auth/kept_keys.py create_task": "one reading, which all who need it await",
    "api/http/acceptor.py call_later": "a listener's pause after an error, one for each socket; closing cancels it",
    "api/http/acceptor.py create_task": "one client's connection is set up; the server waits for all of them",
    "api/realtime/socket.py create_task": "one call or one pull of a socket; leaving it cancels them",
    "api/realtime/stream.py create_task": "one pull of a stream; leaving it cancels that",
    "api/telemetry/refusal_log.py call_later": "the end of ten seconds of one kind of refusals, one for each kind",
    "cacheserver/background.py create_task": "the loop of all rounds; `close`",
    "cacheserver/cache/table.py call_later": "the rest of a place for large loads, of which there are two",
    "cacheserver/cache/table.py create_task": "one load, which all who want the row await",
    "cacheserver/commit/pipeline.py create_task": "one read, and one commit; `idle` awaits both",
    "cacheserver/delivery/recovery.py create_task": "one visit of a row; the scan awaits it, and eight at once at most",
    "cacheserver/node/appointment.py create_task": "the closing of an owner that was dismissed; `close` awaits it",
    "cacheserver/node/node.py create_task": "the end of the moves of an incarnation that ended; `close` awaits it",
    "cacheserver/push/dispatcher.py create_task": "one push, 64 at once at most; `close` cancels and awaits them",
    "cacheserver/first_step.py create_task": "the rest of a call of a peer: its deadline, or the end of its link",
    "cacheserver/rpc/wire.py call_later": "the deadline of a handshake, then the next beat; its end cancels it",
    "cacheserver/remote/mailboxes.py create_task": "the answer to one delivery to many; its call ends it",
    "cacheserver/remote/mailboxes.py ensure_future": "one delivery of such a call; the call awaits all of them",
    "cacheserver/routing/followings.py create_task": "one attempt to follow again; 256 at once at most, and `close`",
    "cacheserver/routing/judges.py create_task": "one question about a token, which all who asked it await",
    "cacheserver/stores/guarded_store.py call_later": "one store call's patience, cancelled when it is answered",
    "cacheserver/stores/memory/store.py ensure_future": "one write of the store of tests",
    "cacheserver/stores/quarantine.py call_at": "the next line about ranges that are away, one at a time",
    "cacheserver/stores/quarantine.py create_task": "the probes of one range, until it answers; `close`",
    "cli/serving/keys_upkeep.py create_task": "reads the keys again at each SIGHUP; leaving its `async with`",
    "cli/serving/processes/api_process.py create_task": "obeys its server; ends with the process, or when that stops",
    "cli/serving/processes/several_processes.py create_task": "passes SIGHUP on; leaving the server",
    "cli/verbs/cluster/cluster.py ensure_future": "one look at the cluster, while the screen goes on; its `finally`",
    "cli/verbs/serve.py ensure_future": "what the server awaits: the first that ends cancels the others",
    "client/calls/transport.py create_task": "noticing that the machine has slept; leaving the client's `async with`",
    "client/following/feed.py call_at": "when the following of a mailbox wants to be asked, one at a time; `close`",
    "client/following/feed.py create_task": "its socket, what writes to it, its polls, a fresh access token; `close`",
    "mailbox/timing/timer_queue.py call_at": "the one timer of a queue; `close`, or its step",
}


def begun_in(path: str, source: str) -> list[str]:
    """What a module begins: `path name`, once for each kind."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called}
    return [f"{path} {name}" for name in sorted(names & BEGIN)]


def test_whatever_begins_a_task_or_sets_a_timer_says_what_ends_it() -> None:
    found = Counter(
        one
        for folder in folders()
        for path in (ROOT / folder).rglob("*.py")
        for one in begun_in(path.relative_to(ROOT).as_posix(), path.read_text())
    )
    assert set(found) == set(ENDS)


def test_a_task_that_nobody_owns_is_found() -> None:
    assert begun_in("a.py", "async def f(loop):\n    loop.create_task(g())\n    call_later(1, g)\n    g()") == [
        "a.py call_later",
        "a.py create_task",
    ]
