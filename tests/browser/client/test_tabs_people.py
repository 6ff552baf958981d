"""What the tabs that share one connection tell one another of people (tabs_people.js), whichever of them leads."""

from typing import Any, Final

from tests.browser.client.client_page import Run

TABS: Final = """
    const { TabsPeople } = await import("/api/web/client/tabs_people.js");
    crypto.randomUUID ??= () => crypto.getRandomValues(new Uint32Array(4)).join("-"); // which only secure pages have
    const told = {}, watched = {};
    const tab = (name) => {
      told[name] = {};
      const made = new TabsPeople("people of a test", (users) => Object.assign(told[name], users));
      made.begin();
      return made;
    };
    const leading = (name) => ({ watch: (users) => (watched[name] = users), active: () => (watched.active = name) });
    const until = async (isSo) => {
      const ends = performance.now() + 30_000;
      while (!isSo()) {
        if (performance.now() > ends) throw new Error(JSON.stringify({ told, watched }));
        await new Promise((done) => setTimeout(done));
      }
    };
    const online = { online: true, lastSeen: null };
"""
"""What tabs are told, and whom those that lead watch; a leader with no server behind it says nothing by itself."""


async def test_what_the_one_who_led_told_is_forgotten_where_the_next_has_no_connection(run: Run) -> None:
    told: dict[str, Any] = await run(
        TABS
        + """
        const [first, second, third] = ["first", "second", "third"].map(tab);
        first.lead(leading("first"));
        second.watch(["bob"]);
        await until(() => watched.first?.includes("bob"));
        first.seen({ bob: online });
        await until(() => told.second.bob);
        first.end();
        third.lead(leading("third"));
        await until(() => told.second.bob === null && watched.third?.includes("bob"));
        third.seen({ bob: online });
        await until(() => told.second.bob);
        for (const one of [second, third]) one.end();
        return told;
        """
    )
    assert told == {"first": {}, "second": {"bob": {"online": True, "lastSeen": None}}, "third": {}}


async def test_who_led_is_told_at_once_by_the_one_who_took_its_place(run: Run) -> None:
    active: str = await run(
        TABS
        + """
        const [first, second] = ["first", "second"].map(tab);
        first.lead(leading("first"));
        first.watch(["bob"]);
        first.seen({ bob: online });
        second.lead(leading("second")); // it has stolen the lock
        first.lead(null); // and that is heard of here now
        if (told.first.bob !== null) throw new Error("what is known begins anew");
        await until(() => watched.second?.includes("bob"));
        second.seen({ bob: online });
        await until(() => told.first.bob);
        first.active();
        await until(() => watched.active);
        for (const one of [first, second]) one.end();
        return watched.active;
        """
    )
    assert active == "second"


async def test_a_tab_that_has_ended_says_nothing(run: Run) -> None:
    """A program may watch others before it has heard that its following is over."""
    watched: dict[str, Any] = await run(
        TABS
        + """
        const [first, second] = ["first", "second"].map(tab);
        first.lead(leading("first"));
        second.end();
        second.watch(["bob"]);
        second.active();
        second.lead(null);
        first.end();
        return watched;
        """
    )
    assert watched == {"first": []}
