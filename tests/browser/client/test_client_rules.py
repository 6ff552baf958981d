"""The rules of the JavaScript client, one by one, over a scripted server (scripted.js) and without time passing."""

import pytest

from tests.browser.client.client_page import Run

pytestmark = pytest.mark.integration


class TestSend:
    async def test_repeats_under_one_id_at_once_and_then_with_backoff(self, run: Run) -> None:
        requests, sleeps, outcome = await run("""
            const { client, requests, sleeps } = scripted([lost(), problem(500, "internal"), lost(), sent]);
            const outcome = await client.send("bob", "hello");
            return [requests, sleeps, outcome];
        """)
        assert outcome["messageId"] == "m1"
        assert sleeps == [250, 500]
        assert len(requests) == 4
        assert len({request["body"]["clientMessageId"] for request in requests}) == 1
        assert requests[0]["headers"]["authorization"] == "Bearer secret"

    async def test_gives_up_when_its_patience_is_over_with_an_unknown_outcome(self, run: Run) -> None:
        sleeps, error = await run("""
            const { client, sleeps } = scripted(Array.from({ length: 99 }, lost));
            return [sleeps, await failure(client.send("bob", "hello", { clientMessageId: "mine" }))];
        """)
        assert sleeps == [250, 500, 1000, 2000, *[3000] * 8, 2250]
        assert sum(sleeps) == 30_000
        assert (error["name"], error["code"], error["status"]) == ("OutcomeUnknown", "no_answer", 0)
        assert (error["clientMessageId"], error["retryable"]) == ("mine", True)

    async def test_patience_is_the_clients_or_the_calls(self, run: Run) -> None:
        counts = await run("""
            const tries = async (options, more) => {
              const { client, requests } = scripted(Array.from({ length: 99 }, lost), options);
              await failure(client.send("bob", "hello", more));
              return requests.length;
            };
            return [
              await tries({ patienceMs: 0 }, {}),
              await tries({}, { patienceMs: 0 }),
              await tries({ patienceMs: 0 }, { patienceMs: 1000 }),
            ];
        """)
        assert counts == [1, 1, 5]

    async def test_one_without_end_waits_and_says_so(self, run: Run) -> None:
        told, outcome = await run("""
            const told = [];
            const onConnection = ({ isConnected, error, retryInMs }) =>
              told.push([isConnected, error?.code, retryInMs]);
            const { client } = scripted([...Array.from({ length: 12 }, lost), sent]);
            const { messageId } = await client.send("bob", "hello", { patienceMs: Infinity, onConnection });
            return [told, messageId];
        """)
        assert outcome == "m1"
        assert [told[0], told[1]] == [[False, "no_answer", 0], [False, "no_answer", 250]]
        assert told[11:] == [[False, "no_answer", 3000], [True, None, None]]

    async def test_its_signal_ends_it_while_it_waits_and_its_place_in_the_queue(self, run: Run) -> None:
        reasons, texts = await run("""
            const end = new AbortController();
            const sleep = () => new Promise(() => end.abort("signed out"));
            const { client, requests } = scripted([lost(), lost(), sent], { sleep });
            const forever = { patienceMs: Infinity, signal: end.signal };
            const sends = [client.send("bob", "1", forever), client.send("bob", "2", forever)];
            const reasons = (await Promise.allSettled(sends)).map(({ reason }) => reason);
            return [reasons, requests.map(({ body }) => body.messageContent)];
        """)
        assert reasons == ["signed out", "signed out"]
        assert texts == ["1", "1"]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
    async def test_does_not_repeat_what_was_refused(self, run: Run, status: int) -> None:
        count, error = await run(f"""
            const {{ client, requests }} = scripted([problem({status}, "no", {{ retryable: true }}), sent]);
            const error = await failure(client.send("bob", "hello"));
            return [requests.length, error];
        """)
        assert count == 1
        name = "AccessDenied" if status in {401, 403} else "Refused"
        assert (error["name"], error["code"], error["status"], error["retryable"]) == (name, "no", status, False)

    async def test_repeats_429_and_is_refused_where_it_would_have_to_wait_too_long(self, run: Run) -> None:
        sleeps, error = await run("""
            const busy = () => problem(429, "rate_limited", { retryAfterMs: 12_000 });
            const { client, sleeps } = scripted([busy(), busy(), busy(), sent]);
            const error = await failure(client.send("bob", "hello"));
            return [sleeps, error];
        """)
        assert sleeps == [12_000, 12_250]
        assert (error["name"], error["retryable"]) == ("Refused", True)

    async def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(self, run: Run) -> None:
        error = await run("""
            const { client } = scripted([lost(), problem(401, "unauthenticated")]);
            return failure(client.send("bob", "hello"));
        """)
        assert (error["name"], error["code"]) == ("OutcomeUnknown", "unauthenticated")

    async def test_waits_as_long_as_retry_after_says(self, run: Run) -> None:
        sleeps = await run("""
            const away = { status: 503, body: "not ours", headers: { "Retry-After": "3" } };
            const { client, sleeps } = scripted([away, sent]);
            await client.send("bob", "hello");
            return sleeps;
        """)
        assert sleeps == [3000]

    async def test_a_proxy_that_asks_for_a_year_is_given_an_hour(self, run: Run) -> None:
        """A browser's timer of more than 24 days is over at once: a follower would have asked as fast as it can."""
        sleeps = await run("""
            const away = { status: 503, body: "not ours", headers: { "Retry-After": "31536000" } };
            const hasty = scripted([away, sent]);
            await hasty.client.send("bob", "hello", { patienceMs: Infinity });
            const { client, sleeps } = scripted([away, page([2], 2)], { random: () => 0 });
            await followed(client, 1, { token: "1" });
            return [hasty.sleeps, sleeps];
        """)
        assert sleeps == [[3_600_000], [3_600_000]]

    @pytest.mark.parametrize("asked", ["-5000", "'soon'", "{}", "null"])
    async def test_what_is_no_pause_shortens_none(self, run: Run, asked: str) -> None:
        """NaN is a timer that is over at once: a follower asked as fast as the network goes."""
        sleeps = await run(f"""
            const away = problem(503, "overloaded", {{ retryAfterMs: {asked} }});
            const {{ client, sleeps }} = scripted([away, away, page([], 2, {{ retryAfterMs: {asked} }}), page([3], 3)]);
            await followed(client, 1, {{ token: "1" }});
            return sleeps;
        """)
        assert sleeps == [250, 500]

    @pytest.mark.parametrize("status", [408, 425])
    async def test_a_proxy_that_lost_patience_has_refused_nothing(self, run: Run, status: int) -> None:
        error = await run(f"""
            const late = {{ status: {status}, body: "not ours" }};
            const {{ client }} = scripted([late, late, sent]);
            await client.send("bob", "hello");
            return failure(scripted([late]).client.send("bob", "hello", {{ patienceMs: 0 }}));
        """)
        assert (error["name"], error["code"], error["retryable"]) == ("OutcomeUnknown", "unexpected_answer", True)

    async def test_jitter_is_full_and_backoff_is_bounded(self, run: Run) -> None:
        none, most = await run("""
            const away = () => Array.from({ length: 12 }, lost);
            const calm = scripted([...away(), page([1], 1)], { random: () => 0 });
            const hard = scripted([...away(), page([1], 1)]);
            await followed(calm.client, 1);
            await followed(hard.client, 1);
            return [calm.sleeps, hard.sleeps];
        """)
        assert none == [0] * 12
        assert most == [250, 500, 1000, 2000, *[3000] * 8]

    async def test_one_to_a_recipient_is_under_way_at_a_time(self, run: Run) -> None:
        order = await run("""
            let release;
            const held = new Promise((resolve) => (release = resolve));
            const { client, requests } = scripted([() => held.then(() => sent), sent, sent, sent]);
            const messages = [["bob", "1"], ["bob", "2"], ["bob", "3"], ["eve", "4"]];
            const sends = messages.map(([recipient, text]) => client.send(recipient, text));
            await sends[3];
            const before = requests.map((request) => request.body.messageContent);
            release();
            await Promise.all(sends);
            return [before, requests.map((request) => request.body.messageContent)];
        """)
        assert order == [["1", "4"], ["1", "4", "2", "3"]]

    async def test_a_queue_over_a_server_that_is_away_is_no_more_patient_than_one_send(self, run: Run) -> None:
        """Counted from its turn each of ten had 30 s of its own: the last one was told after five minutes."""
        names, slept, texts = await run("""
            const { client, requests, sleeps } = scripted(Array.from({ length: 99 }, lost));
            const sends = Array.from({ length: 10 }, (_, n) => failure(client.send("bob", String(n))));
            const names = new Set((await Promise.all(sends)).map(({ name }) => name));
            const texts = new Set(requests.map(({ body }) => body.messageContent));
            return [[...names], sleeps.reduce((sum, ms) => sum + ms, 0), texts.size];
        """)
        assert (names, slept, texts) == (["OutcomeUnknown"], 30_000, 10)

    async def test_a_long_queue_that_moves_loses_no_patience(self, run: Run) -> None:
        sleeps = await run("""
            const slow = () => ({ ...sent, tookMs: 10_000 });
            const { client, sleeps } = scripted([...Array.from({ length: 9 }, slow), lost(), lost(), lost(), sent]);
            await Promise.all(Array.from({ length: 10 }, (_, n) => client.send("bob", String(n))));
            return sleeps;
        """)
        assert sleeps == [250, 500]

    async def test_the_next_goes_when_one_is_given_up(self, run: Run) -> None:
        outcomes = await run("""
            const { client } = scripted([problem(413, "message_too_large"), sent]);
            const [first, second] = [client.send("bob", "1"), client.send("bob", "2")];
            const { code, clientMessageId } = await failure(first);
            return [code, clientMessageId.length, (await second).messageId];
        """)
        assert outcomes == ["message_too_large", 32, "m1"]


class TestFollow:
    async def test_begins_with_a_page_and_then_gives_each_message_once(self, run: Run) -> None:
        seen, queries = await run("""
            const first = page([3, 2], 3, { isDeltaUpdate: false });
            const nothing = { ...page([], 3), tookMs: 30000 };
            const { client, requests } = scripted([first, nothing, page([4, 5], 6), page([7], 7)]);
            return [await followed(client, 4, { conversationId: "c" }), requests.map((request) => request.query)];
        """)
        assert seen == ["reset null: m3,m2", "m4", "m5", "m7"]
        assert queries == [
            {"conversationId": "c"},
            {"conversationId": "c", "lastUpdatedTimestamp": "3", "wait": "30"},
            {"conversationId": "c", "lastUpdatedTimestamp": "3", "wait": "30"},
            {"conversationId": "c", "lastUpdatedTimestamp": "6", "wait": "30"},
        ]

    async def test_goes_on_behind_its_token_when_the_server_was_away(self, run: Run) -> None:
        seen, queries, connections = await run("""
            const connections = [];
            const onConnection = ({ isConnected }) => connections.push(isConnected);
            const outage = [lost(), problem(503, "overloaded")];
            const { client, requests } = scripted([page([4], 4), ...outage, page([5], 5), page([6], 6)]);
            const seen = await followed(client, 3, { token: "3", onConnection });
            return [seen, requests.map(({ query }) => [query.lastUpdatedTimestamp, query.wait ?? null]), connections];
        """)
        assert seen == ["m4", "m5", "m6"]
        assert queries == [["3", None], ["4", "30"], ["4", None], ["4", None], ["5", "30"]]
        assert connections == [True, False, False, True]

    async def test_each_outage_begins_with_short_waits(self, run: Run) -> None:
        sleeps = await run("""
            const { client, sleeps } = scripted([lost(), lost(), page([2], 2), lost(), page([3], 3)]);
            await followed(client, 2, { token: "1" });
            return sleeps;
        """)
        assert sleeps == [250, 500, 250]

    async def test_gives_the_rest_of_a_long_absence_page_by_page(self, run: Run) -> None:
        seen, tokens = await run("""
            const { client, requests } = scripted([page([2, 3], 3, { hasMore: true }), page([4], 9), page([10], 10)]);
            return [await followed(client, 4, { token: "1" }), requests.map(({ query }) => query.lastUpdatedTimestamp)];
        """)
        assert seen == ["m2", "m3", "m4", "m10"]
        assert tokens == ["1", "3", "9"]

    async def test_from_a_token_within_an_answer_the_rest_of_it_comes(self, run: Run) -> None:
        tokens, rest, since = await run("""
            const answer = page([2, 3, 4], 5);
            const tokens = [];
            for await (const { token } of scripted([answer]).client.follow({ token: "1" })) {
              if (tokens.push(token) === 3) break;
            }
            const { client, requests } = scripted([answer, page([6], 6)]);
            const rest = await followed(client, 2, { token: tokens[1] });
            return [tokens, rest, requests.map(({ query }) => query.lastUpdatedTimestamp)];
        """)
        assert tokens == ["1~2", "1~3", "5"]
        assert rest == ["m4", "m6"]
        assert since == ["1", "5"]

    async def test_a_reset_shows_everything_also_what_was_seen_within_an_answer(self, run: Run) -> None:
        seen = await run("""
            const reset = page([2], 2, { isDeltaUpdate: false, resetReason: "restored" });
            const { client } = scripted([reset, page([3], 3)]);
            return followed(client, 2, { token: "1~9" });
        """)
        assert seen == ["reset restored: m2", "m3"]

    async def test_a_token_that_is_too_old_begins_anew(self, run: Run) -> None:
        seen = await run("""
            const reset = page([9, 8], 9, { isDeltaUpdate: false, resetReason: "expired", hasMore: true });
            const { client } = scripted([reset, page([10], 10)]);
            return followed(client, 2, { token: "1" });
        """)
        assert seen == ["reset expired: m9,m8", "m10"]

    async def test_comes_back_to_a_stopping_server_when_that_says(self, run: Run) -> None:
        sleeps = await run("""
            const { client, sleeps } = scripted([page([], 1, { retryAfterMs: 1234 }), page([2], 2)]);
            await followed(client, 1, { token: "1" });
            return sleeps;
        """)
        assert sleeps == [1234]

    async def test_two_that_push_each_other_out_do_not_spin(self, run: Run) -> None:
        sleeps = await run("""
            const slow = { ...page([], 1), tookMs: 30000 };
            const { client, sleeps } = scripted([page([], 1), page([], 1), slow, page([2], 2)]);
            await followed(client, 1, { token: "1" });
            return sleeps;
        """)
        assert sleeps == [2000]

    @pytest.mark.parametrize(
        ("status", "code", "name"),
        [
            (401, "unauthenticated", "AccessDenied"),
            (401, "token_revoked", "AccessDenied"),
            (403, "forbidden", "AccessDenied"),
            (404, "unknown_conversation", "Refused"),
        ],
    )
    async def test_ends_with_what_will_not_change(self, run: Run, status: int, code: str, name: str) -> None:
        seen = await run(f"""
            const {{ client }} = scripted([page([2], 2), problem({status}, "{code}")]);
            return followed(client, 9, {{ token: "1" }});
        """)
        assert seen == ["m2", f"{name}: {code}"]

    async def test_its_signal_ends_it_quietly(self, run: Run) -> None:
        seen = await run("""
            const end = new AbortController();
            const hang = (signal) => new Promise((_, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason));
              end.abort();
            });
            const { client } = scripted([page([2], 2), hang]);
            return followed(client, 9, { token: "1", signal: end.signal });
        """)
        assert seen == ["m2"]

    async def test_an_answer_to_another_call_ends_its_pause_unless_the_server_asked_for_it(self, run: Run) -> None:
        outcomes = await run("""
            const outcome = async (failed) => {
              const waiting = Promise.withResolvers();
              const sleep = (_, signal) => new Promise((resolve) => {
                signal.addEventListener("abort", resolve);
                waiting.resolve();
              });
              const end = new AbortController();
              const { client, requests } = scripted([failed, sent, page([2], 2)], { sleep });
              const seen = followed(client, 1, { token: "1", signal: end.signal });
              await waiting.promise;
              await client.send("bob", "hello");
              for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve));
              end.abort();
              return [await seen, requests.length];
            };
            return [await outcome(lost()), await outcome(problem(503, "overloaded", { retryAfterMs: 5000 }))];
        """)
        assert outcomes == [[["m2"], 3], [[], 2]]

    async def test_one_that_is_told_of_news_holds_no_poll(self, run: Run) -> None:
        seen, waits = await run("""
            let rings = 0;
            const waitForNews = async () => { rings += 1; };
            const { client, requests } = scripted([page([2], 2, { hasMore: true }), page([3], 3), page([4], 4)]);
            const seen = await followed(client, 3, { token: "1", waitForNews });
            return [[...seen, rings], requests.map(({ query }) => query.wait ?? null)];
        """)
        assert seen == ["m2", "m3", "m4", 1]
        assert waits == [None, None, None]

    async def test_the_list_of_conversations_says_what_changed_and_why_it_begins_anew(self, run: Run) -> None:
        seen, queries = await run("""
            const named = (ids) => ({ conversations: ids.map((conversationId) => ({ conversationId })) });
            const list = (ids, token, more) => page([], token, { ...named(ids), ...more });
            const { client, requests } = scripted([
              list(["c2", "c1"], 2, { isDeltaUpdate: false, nextCursor: "older" }),
              { ...list([], 3), tookMs: 30000 },
              list(["c3"], 4),
              list(["c3"], 9, { isDeltaUpdate: false, resetReason: "too_many" }),
            ]);
            const seen = [];
            for await (const { isReset, reason, conversations, nextCursor, token } of client.followConversations()) {
              seen.push([isReset, reason, conversations.map((one) => one.conversationId), nextCursor, token]);
              if (seen.length === 3) break;
            }
            return [seen, requests.map(({ query }) => query)];
        """)
        assert seen == [
            [True, None, ["c2", "c1"], "older", "2"],
            [False, None, ["c3"], None, "4"],
            [True, "too_many", ["c3"], None, "9"],
        ]
        assert queries == [
            {"pageSize": "100"},
            *({"pageSize": "100", "lastUpdatedTimestamp": token, "wait": "30"} for token in "234"),
        ]


class TestPages:
    async def test_a_list_whose_store_was_put_back_ends_and_says_so(self, run: Run) -> None:
        seen = await run("""
            const anew = page([9], 9, { isDeltaUpdate: false, resetReason: "restored", nextCursor: "y" });
            const { client } = scripted([page([3, 2], 3, { nextCursor: "x" }), anew]);
            const seen = [];
            try {
              for await (const { messageId } of client.messages()) seen.push(messageId);
            } catch ({ name, code }) {
              seen.push(`${name}: ${code}`);
            }
            return seen;
        """)
        assert seen == ["m3", "m2", "ListReset: restored"]

    async def test_go_by_cursor_to_the_end(self, run: Run) -> None:
        found, queries = await run("""
            const { client, requests } = scripted([page([3, 2], 3, { nextCursor: "x" }), lost(), page([1], 3)]);
            const found = [];
            for await (const message of client.messages("c", { pageSize: 2 })) found.push(message.messageId);
            return [found, requests.map((request) => request.query)];
        """)
        assert found == ["m3", "m2", "m1"]
        first = {"conversationId": "c", "pageSize": "2"}
        assert queries == [first, first | {"cursor": "x"}, first | {"cursor": "x"}]

    async def test_go_on_from_the_cursor_of_a_page(self, run: Run) -> None:
        queries = await run("""
            const { client, requests } = scripted([page([3], 3), { body: { conversations: [] } }]);
            for await (const _ of client.messages("c", { cursor: "x" }));
            for await (const _ of client.conversations({ cursor: "y" }));
            return requests.map((request) => request.query);
        """)
        assert queries == [
            {"conversationId": "c", "pageSize": "100", "cursor": "x"},
            {"pageSize": "100", "cursor": "y"},
        ]

    async def test_what_nobody_sent_has_no_status(self, run: Run) -> None:
        assert await run("""
            const { client } = scripted([problem(404, "unknown_client_message_id"), { body: { messageId: "m" } }]);
            return [await client.sendStatus("a"), (await client.sendStatus("b")).messageId];
        """) == [None, "m"]
