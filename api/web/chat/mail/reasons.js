// Why a call was not carried out, in words for who asked for it.

const OF_ALL = /** @type {Record<string, string>} */ ({
  rate_limited: "That was too much at once. Wait a moment, and try again",
});

/**
 * @param {unknown} caught What the client threw.
 * @param {Record<string, string>} words By the server's code; for others the server's own words are taken.
 */
export function reasonFor(caught, words) {
  const error = /** @type {import("../../client/rowbox.js").RowboxError} */ (caught);
  const known = words[error.code] ?? OF_ALL[error.code];
  if (known) return known;
  if (error.retryable) return "The server does not answer. Try again";
  return error.message.charAt(0).toUpperCase() + error.message.slice(1);
}
