"""What the JavaScript client makes of its token, and what it tells at once because no try can change it."""

import pytest

from tests.browser.client.client_page import Run

pytestmark = pytest.mark.integration


class TestTokens:
    async def test_a_function_is_asked_at_first_and_when_its_token_is_refused(self, run: Run) -> None:
        seen = await run("""
            let count = 0;
            const refused = () => problem(401, "unauthenticated");
            const answers = [sent, sent, refused(), sent];
            const { client, requests } = scripted(answers, { token: async () => `t${++count}` });
            for (const text of ["1", "2", "3"]) await client.send("bob", text);
            return requests.map(({ headers, body }) => [headers.authorization, body.messageContent]);
        """)
        assert seen == [["Bearer t1", "1"], ["Bearer t1", "2"], ["Bearer t1", "3"], ["Bearer t2", "3"]]

    async def test_calls_that_are_refused_together_ask_once(self, run: Run) -> None:
        count, seen = await run("""
            let count = 0;
            const refused = () => problem(401, "unauthenticated");
            const { client, requests } = scripted([refused(), refused(), sent, sent], { token: () => `t${++count}` });
            await Promise.all([client.send("bob", "1"), client.send("eve", "2")]);
            return [count, requests.map(({ headers }) => headers.authorization)];
        """)
        assert (count, sorted(seen)) == (2, ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"])

    async def test_a_token_that_is_refused_again_ends_the_call(self, run: Run) -> None:
        count, error = await run("""
            const refused = () => problem(401, "token_revoked");
            const { client, requests } = scripted([refused(), refused(), sent], { token: () => "same" });
            const error = await failure(client.send("bob", "1"));
            return [requests.length, error];
        """)
        assert (count, error["name"], error["code"]) == (1, "AccessDenied", "token_revoked")

    async def test_a_function_that_fails_is_an_outage(self, run: Run) -> None:
        told, seen = await run("""
            const told = [];
            const onConnection = ({ error }) => told.push(error && [error.code, String(error.cause)]);
            const fails = [new TypeError("Failed to fetch"), new Error("503")];
            const token = () => {
              if (fails.length) throw fails.shift();
              return "t";
            };
            const { client } = scripted([page([2], 2)], { token });
            return [told, await followed(client, 1, { token: "1", onConnection })];
        """)
        assert told == [["no_token", "TypeError: Failed to fetch"], ["no_token", "Error: 503"], None]
        assert seen == ["m2"]

    async def test_without_a_token_nothing_was_sent(self, run: Run) -> None:
        error, count = await run("""
            const { client, requests } = scripted([sent], { token: () => Promise.reject(new Error("503")) });
            return [await failure(client.send("bob", "1", { clientMessageId: "mine" })), requests.length];
        """)
        assert (error["name"], error["code"], error["retryable"]) == ("OutcomeUnknown", "no_token", True)
        assert (error["clientMessageId"], count) == ("mine", 0)

    async def test_a_function_that_never_answers_is_asked_again(self, run: Run) -> None:
        told, asked = await run("""
            let asked = 0;
            const timed = globalThis.setTimeout;
            globalThis.setTimeout = (what, ms) => timed(what, asked === 1 ? 0 : ms);
            const told = [];
            const onConnection = ({ error }) => told.push(error?.code ?? null);
            const token = () => (++asked === 1 ? new Promise(() => {}) : "t");
            try {
              await scripted([sent], { token }).client.send("bob", "x", { onConnection });
            } finally {
              globalThis.setTimeout = timed;
            }
            return [told, asked];
        """)
        assert (told, asked) == (["no_token", None], 2)

    @pytest.mark.parametrize("copy", ["", "#another"])
    async def test_a_function_may_say_that_it_is_over(self, run: Run, copy: str) -> None:
        """With the error of another copy of the module too: it was asked again for ever."""
        seen = await run(
            f"const copy = '{copy}';"
            """
            const { AccessDenied } = await import(`/api/web/client/rowbox.js${copy}`);
            const over = new AccessDenied("sign in again", { code: "signed_out", status: 0, retryable: false });
            return followed(scripted([], { token: () => Promise.reject(over) }).client, 1);
        """
        )
        assert seen == ["AccessDenied: signed_out"]


class TestFaults:
    """What no try can change is told at once, and is no outage."""

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ('{ token: "" }', "TypeError: a token is needed"),
            ("{ token: 7 }", "TypeError: a token is needed"),
            ('{ token: "abc\u2026" }', "TypeError: a token holds no U+2026; this one does at place 4"),
            ('{ token: "Bearer abc" }', "TypeError: a token holds no U+0020"),
            ('{ url: "rowbox.test" }', "TypeError"),
            ('{ url: "file:///x" }', "TypeError: a server's url begins with http"),
            ('{ url: "http://alice:secret@rowbox.test" }', "TypeError: the url holds no password"),
            ('{ patienceMs: "30s" }', "RangeError: patienceMs"),
            ("{ patienceMs: -1 }", "RangeError: patienceMs"),
            ("{ dedupeLifeMs: NaN }", "RangeError: dedupeLifeMs"),
            ("{ fetch: 7 }", "TypeError: no fetch here"),
        ],
    )
    async def test_of_an_option(self, run: Run, options: str, error: str) -> None:
        told = await run(f"""
            try {{ new Rowbox({{ url: location.origin, token: "t", ...{options} }}) }} catch (error) {{
              return String(error);
            }}
        """)
        assert told.startswith(error)

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            ("client.send('bob', 10n)", "TypeError"),
            ("client.send('bob', 'x', { patienceMs: NaN })", "RangeError"),
            ("client.send('bob', 'x', { firstTriedAt: 'yesterday' })", "RangeError"),
            ("followed(client, 1, { waitS: 56 }).then(([seen]) => { throw new Error(seen) })", "Error: RangeError"),
            ("followed(client, 1, { token: 'a~b' }).then(([seen]) => { throw new Error(seen) })", "Error: TypeError"),
            ("client.messages('c', { patienceMs: -1 }).next()", "RangeError"),
        ],
    )
    async def test_of_a_call(self, run: Run, call: str, error: str) -> None:
        told, count = await run(f"""
            const {{ client, requests }} = scripted([sent, sent]);
            try {{ await {call} }} catch (error) {{ return [String(error), requests.length] }}
        """)
        assert told.startswith(error)
        assert count == 0

    @pytest.mark.parametrize("token", ['"abc\u2026"', "undefined", "7", '""'])
    async def test_of_a_token_that_a_function_gave(self, run: Run, token: str) -> None:
        seen, told, sends = await run(f"""
            const told = [];
            const {{ client }} = scripted([], {{ token: async () => {token} }});
            const seen = await followed(client, 1, {{ onConnection: (connection) => told.push(connection) }});
            return [seen, told, await failure(client.send("bob", "x"))];
        """)
        assert (seen, told) == (["TypeError: undefined"], [])
        assert sends["name"] == "TypeError"

    async def test_of_a_fetch_that_the_caller_gave(self, run: Run) -> None:
        assert await run("""
            const client = new Rowbox({ url: location.origin, token: "t", fetch: () => noSuchName });
            return followed(client, 1);
        """) == ["ReferenceError: undefined"]

    async def test_a_redirect_is_not_followed(self, run: Run) -> None:
        """The access token is for this server."""
        error, kinds = await run("""
            const kinds = [];
            const fetch = async (request) => {
              kinds.push(request.redirect);
              return new Response("", { status: 301, headers: { Location: "https://elsewhere.test/" } });
            };
            return [await failure(scripted([], { fetch }).client.send("bob", "x")), kinds];
        """)
        assert kinds == ["manual"]
        assert (error["name"], error["code"], error["status"]) == ("Refused", "unexpected_answer", 301)

    @pytest.mark.parametrize("body", ["{}", "[]", "null", "'text'", "{ messages: null }"])
    async def test_an_answer_of_something_else_is_an_outage(self, run: Run, body: str) -> None:
        told, seen = await run(f"""
            const told = [];
            const onConnection = ({{ error }}) => told.push(error?.code ?? null);
            const {{ client }} = scripted([{{ body: {body} }}, page([2], 2)]);
            return [told, await followed(client, 1, {{ token: "1", onConnection }})];
        """)
        assert (told, seen) == (["unexpected_answer", None], ["m2"])

    async def test_an_old_browser_will_do(self, run: Run) -> None:
        """Safari before 17.4 has no AbortSignal.any; over plain HTTP to a LAN address there is no crypto.randomUUID."""
        seen = await run("""
            const missing = [
              [AbortSignal, "any"], [AbortSignal, "timeout"], [AbortSignal.prototype, "throwIfAborted"],
              [Promise, "withResolvers"], [Promise, "try"], [Array, "fromAsync"], [URL, "canParse"], [URL, "parse"],
              [crypto, "randomUUID"], [Crypto.prototype, "randomUUID"], [globalThis, "structuredClone"],
            ];
            const kept = missing.map(([owner, name]) => Object.getOwnPropertyDescriptor(owner, name));
            for (const [owner, name] of missing) delete owner[name];
            try {
              const end = new AbortController();
              const { client } = scripted([lost(), sent, page([2], 2)]);
              const { messageId } = await client.send("bob", "x", { signal: end.signal });
              return [messageId, ...(await followed(client, 1, { token: "1", signal: end.signal }))];
            } finally {
              missing.forEach(([owner, name], at) => kept[at] && Object.defineProperty(owner, name, kept[at]));
            }
        """)
        assert seen == ["m1", "m2"]
