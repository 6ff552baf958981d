// What an issuer calls a user, as the userId that the server makes of it (mailbox/subjects.py, auth.escape_user_ids).

const OTHERS = /[^A-Za-z0-9._@+:-]|@(?=[^A-Za-z0-9._+:-])/gu;
const bytes = new TextEncoder();

/**
 * The userId of a subject that is none itself. What is one stays as it is: most servers take no other.
 * @param {string} subject
 */
export function userIdOf(subject) {
  if (/^[A-Za-z0-9._@+:-]*$/.test(subject)) return subject;
  return subject.replace(OTHERS, (character) => [...bytes.encode(character)].map(escaped).join(""));
}

/** @param {number} byte */
const escaped = (byte) => `@@${byte.toString(16).toUpperCase().padStart(2, "0")}`;
