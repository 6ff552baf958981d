// Times as a reader of a chat wants them, in the reader's language and zone. All take microseconds since the epoch.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_MS = 24 * 3600 * 1000;

const dateOf = (us) => new Date(us / 1000);

export const isoTime = (us) => dateOf(us).toISOString();

/** "10:31" */
export const clockTime = (us) => clock.format(dateOf(us));

/** The local day: equal for two times of one day. */
export const dayOf = (us) => dateOf(us).toDateString();

/** "Today", "Yesterday", "Monday", "3 May 2026" */
export function dayName(us) {
  const age = daysAgo(us);
  if (age === 0) return "Today";
  if (age === 1) return "Yesterday";
  return (age < 7 ? weekday : date).format(dateOf(us));
}

/** "10:31" of today, "3 May" of another day. */
export const briefTime = (us) => (daysAgo(us) === 0 ? clock : shortDate).format(dateOf(us));

function daysAgo(us) {
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());
  return Math.round((midnight(new Date()) - midnight(dateOf(us))) / DAY_MS); // a day of 23 or 25 hours is one too
}
