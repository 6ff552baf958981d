// Times as a reader of a chat wants them, in the reader's language and zone. All take microseconds since the epoch.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const DAY_MS = 24 * 3600 * 1000;

/** @param {number} us */
const dateOf = (us) => new Date(us / 1000);

/** @param {number} us */
export const isoTime = (us) => dateOf(us).toISOString();

/** "10:31" @param {number} us */
export const clockTime = (us) => clock.format(dateOf(us));

/** "Sunday, 3 May 2026 at 10:31:07" @param {number} us */
export const fullTime = (us) => full.format(dateOf(us));

/** The local day: equal for two times of one day. @param {number} us */
export const dayOf = (us) => dateOf(us).toDateString();

/** "Today", "Yesterday", "Monday", "3 May 2026" @param {number} us */
export function dayName(us) {
  const age = daysAgo(us);
  if (age === 0) return "Today";
  if (age === 1) return "Yesterday";
  return (age < 7 ? weekday : date).format(dateOf(us));
}

/** "10:31" of today, "3 May" of another day. @param {number} us */
export const briefTime = (us) => (daysAgo(us) === 0 ? clock : shortDate).format(dateOf(us));

/** @param {number} us */
function daysAgo(us) {
  const midnight = (/** @type {Date} */ day) => new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
  return Math.round((midnight(new Date()) - midnight(dateOf(us))) / DAY_MS); // a day of 23 or 25 hours is one too
}
