"""The JavaScript client and time that passes: how long a send may be repeated, and what a sleep does to connections."""

import pytest

from tests.browser.client.client_page import Run

pytestmark = pytest.mark.integration


class TestDedupeLife:
    async def test_an_automatic_retry_ends_with_it_and_then_asks(self, run: Run) -> None:
        error, count, tried = await run("""
            const { client, requests } = scripted(Array.from({ length: 999 }, lost), { dedupeLifeMs: 60_000 });
            let error;
            await client.send("bob", "x", { patienceMs: Infinity }).catch((caught) => (error = caught));
            return [await failure(Promise.reject(error)), requests.length, error.firstTriedAt];
        """)
        assert (error["name"], error["code"], error["retryable"]) == ("OutcomeUnknown", "dedupe_life_over", False)
        assert "it may have arrived" in error["message"]
        assert (count, tried) == (19, 0)

    async def test_a_machine_that_slept_through_it_does_not_send_again(self, run: Run) -> None:
        """Its clock of durations stood still meanwhile."""
        error, count = await run("""
            let days = 0;
            const { client, requests } = scripted([() => { days = 8; throw lost(); }, sent], {
              wallClock: () => days * 24 * 3600_000,
            });
            return [await failure(client.send("bob", "x")), requests.length];
        """)
        assert (error["code"], count) == ("dedupe_life_over", 1)

    async def test_one_of_an_earlier_time_goes_on_within_it_only(self, run: Run) -> None:
        first, second, count = await run("""
            const day = 24 * 3600_000;
            const { client, requests } = scripted([sent, sent], { wallClock: () => 10 * day });
            const again = (daysAgo) =>
              client.send("bob", "x", { clientMessageId: "a", firstTriedAt: (10 - daysAgo) * day });
            return [(await again(6.9)).messageId, await failure(again(7)), requests.length];
        """)
        assert (first, second["code"], second["clientMessageId"], count) == ("m1", "dedupe_life_over", "a", 1)

    async def test_the_server_says_how_long_it_is(self, run: Run) -> None:
        assert (
            await run("""
            const told = { ...sent, headers: { "X-Dedupe-Life": "3600" } };
            const { client } = scripted([told, sent], { wallClock: () => 7_200_000 });
            await client.send("bob", "x");
            const error = await failure(client.send("bob", "y", { clientMessageId: "a", firstTriedAt: 3_000_000 }));
            return error.code;
        """)
            == "dedupe_life_over"
        )

    async def test_a_clock_that_was_set_back_proves_nothing(self, run: Run) -> None:
        assert (
            await run("""
            const { client } = scripted([sent], { wallClock: () => 0 });
            const again = { clientMessageId: "a", firstTriedAt: 8 * 24 * 3600_000 };
            return (await failure(client.send("bob", "x", again))).code;
        """)
            == "dedupe_life_over"
        )

    async def test_what_was_never_tried_may_go_at_any_time(self, run: Run) -> None:
        assert (
            await run("""
            let days = 0;
            const token = () => {
              if (days < 20) throw new Error(`away on day ${days++}`);
              return "t";
            };
            const { client } = scripted([sent], { token, wallClock: () => days * 24 * 3600_000 });
            return (await client.send("bob", "x", { patienceMs: Infinity })).messageId;
        """)
            == "m1"
        )


class TestWakings:
    """A connection that died in a sleep is no reason to wait for its answer."""

    SLEEPY = """
        const hangs = [];
        let time = 0;
        let beat;
        let isHidden = false;
        const hang = (signal) => new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          hangs.splice(0).forEach((resolve) => resolve());
        });
        const hung = () => new Promise((resolve) => hangs.push(resolve));
        const kept = [globalThis.setInterval, Object.getOwnPropertyDescriptor(Document.prototype, "hidden")];
        globalThis.setInterval = (tick) => { beat = tick; return 0; };
        Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
        const show = (isShown) => {
          isHidden = !isShown;
          document.dispatchEvent(new Event("visibilitychange"));
        };
        const passes = (ms) => { time += ms; };
    """

    @pytest.mark.parametrize(
        ("happens", "is_renewed"),
        [
            ("dispatchEvent(new Event('online'))", True),
            ("passes(2_000); beat()", False),
            ("passes(6_000); beat(); passes(2_000); beat()", False),
            ("passes(60_000); beat()", True),
            ("passes(-60_000); beat()", False),
            ("show(false); passes(60_000); beat()", False),  # a browser lets a hidden page's timers run once a minute
            ("show(false); passes(600_000); beat()", True),
            ("show(false); passes(4_000); show(true)", False),
            ("show(false); passes(60_000); show(true)", True),
        ],
    )
    async def test_of_a_poll(self, run: Run, happens: str, is_renewed: bool) -> None:
        seen, queries, told, sleeps = await run(f"""
            {self.SLEEPY}
            const told = [];
            const options = {{ token: "1", onConnection: ({{ isConnected }}) => told.push(isConnected) }};
            const answers = [page([2], 2), hang, page([3], 3)];
            const {{ client, requests, sleeps }} = scripted(answers, {{ wallClock: () => time }});
            const end = new AbortController();
            const following = followed(client, 2, {{ ...options, signal: end.signal }});
            await hung();
            {happens};
            if (!{str(is_renewed).lower()}) end.abort();
            const seen = await following;
            globalThis.setInterval = kept[0];
            delete document.hidden;
            const queries = requests.map(({{ query }}) => [query.lastUpdatedTimestamp, query.wait ?? null]);
            return [seen, queries, told, sleeps];
        """)
        first = [["1", None], ["2", "30"]]
        if is_renewed:
            assert (seen, queries) == (["m2", "m3"], [*first, ["2", None]])
        else:
            assert (seen, queries) == (["m2"], first)
        assert (told, sleeps) == ([True], [])

    async def test_of_a_send_which_keeps_its_patience(self, run: Run) -> None:
        sleeps, ids = await run(f"""
            {self.SLEEPY}
            const answers = [hang, lost(), lost(), sent];
            const clocks = {{ wallClock: () => time, now: () => time }};
            const {{ client, requests, sleeps }} = scripted(answers, {{ ...clocks, patienceMs: 300 }});
            const sending = client.send("bob", "x");
            await hung();
            passes(3_600_000);
            beat();
            await sending;
            globalThis.setInterval = kept[0];
            delete document.hidden;
            return [sleeps, new Set(requests.map(({{ body }}) => body.clientMessageId)).size];
        """)
        assert (sleeps, ids) == ([250], 1)

    async def test_the_first_try_of_a_call_after_it_finds_out_soon(self, run: Run) -> None:
        """It may go over another connection that is dead: 5 s for that, and 15 s for the next."""
        times = await run(f"""
            {self.SLEEPY}
            const times = [];
            const ended = (signal) => new Promise((_, reject) => {{
              const end = () => reject(signal.reason);
              if (signal.aborted) end();
              signal.addEventListener("abort", end);
            }});
            const timed = globalThis.setTimeout;
            globalThis.setTimeout = (what, ms) => {{
              times.push(ms);
              return timed(what, ms === 5_000 ? 0 : ms);
            }};
            const {{ client }} = scripted([hang, ended, sent], {{ wallClock: () => time }});
            const sending = client.send("bob", "x");
            await hung();
            passes(60_000);
            beat();
            await sending;
            [globalThis.setInterval, globalThis.setTimeout] = [kept[0], timed];
            delete document.hidden;
            return times;
        """)
        assert times[:3] == [15_000, 5_000, 15_000]

    async def test_a_pause_ends_when_the_network_is_back_but_not_one_that_the_server_asked_for(self, run: Run) -> None:
        ended = await run("""
            const ended = [];
            const sleep = (ms, signal) => new Promise((resolve) => {
              signal.addEventListener("abort", () => (ended.push(`${ms} early`), resolve()));
              setTimeout(() => {
                dispatchEvent(new Event("online"));
                if (ms >= 1000) ended.push(`${ms} whole`);
                resolve();
              });
            });
            const busy = problem(503, "overloaded", { retryAfterMs: 1000 });
            const { client } = scripted([lost(), lost(), busy, sent], { sleep });
            await client.send("bob", "x");
            return ended;
        """)
        assert ended == ["250 early", "1500 whole"]

    async def test_nobody_listens_when_there_is_nothing_under_way(self, run: Run) -> None:
        added, removed = await run("""
            const counts = [0, 0];
            const kept = [globalThis.addEventListener, globalThis.removeEventListener];
            globalThis.addEventListener = (...given) => { counts[0]++; kept[0].apply(globalThis, given); };
            globalThis.removeEventListener = (...given) => { counts[1]++; kept[1].apply(globalThis, given); };
            const { client } = scripted([lost(), lost(), sent, problem(400, "bad_request")]);
            await client.send("bob", "x");
            await failure(client.send("bob", "x"));
            [globalThis.addEventListener, globalThis.removeEventListener] = kept;
            return counts;
        """)
        assert added == removed > 0


async def test_a_try_has_so_long_for_the_beginning_of_its_answer_and_for_each_part(run: Run) -> None:
    polls, parts = await run("""
        const times = [];
        const kept = globalThis.setTimeout;
        globalThis.setTimeout = (what, ms) => (times.push(ms), kept(what, ms));
        try {
          await followed(scripted([page([2], 2), page([3], 3)]).client, 2, { token: "1", waitS: 50 });
          const polls = times.splice(0);
          const slow = new ReadableStream({
            start(line) {
              const bytes = new TextEncoder().encode(JSON.stringify({ messageId: "é" }));
              for (const byte of bytes) line.enqueue(bytes.constructor.of(byte));
              line.close();
            },
          });
          const { messageId } = await scripted([], { fetch: async () => new Response(slow) }).client.send("bob", "x");
          return [polls, [messageId, times.length, ...new Set(times)]];
        } finally {
          globalThis.setTimeout = kept;
        }
    """)
    assert polls == [15_000, *[15_000] * 2, 55_000, *[15_000] * 2]
    assert parts == ["é", 2 + len('{"messageId":"é"}'.encode()), 15_000]
