// The addresses in a text, to be pressed. Only http and https, only what somebody would see as an address, and never more
// than what is written: the pieces together are the text.

/** Characters that are in no address: spaces, quotes, brackets around it, invisible ones, and marks of reading direction. */
const STOP = String.raw`\s<>"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff`;
const ADDRESS = new RegExp(String.raw`(?:https?:\/\/|www\.)[^${STOP}]+`, "giu");
/** Characters before which no address may stand: "mailto:www.example.org" is no address of the web. */
const WITHIN = /[\p{L}\p{N}_@./:-]$/u;
/** Characters at the end that belong to the sentence and not to the address. */
const SENTENCE_END = /[.,;:!?'’”»*_~…。、，！？：；]$/u;
const OPENED_BY = new Map(Object.entries({ ")": "(", "]": "[", "}": "{", "）": "（", "」": "「", "】": "【" }));
/** The longest text that becomes a link. No address that a person meant is longer, and browsers are slow to lay it out. */
const MOST_CHARACTERS = 2_048;

/**
 * The text in pieces: plain ones, without `href`, and addresses.
 * @param {string} text
 * @returns {{text: string, href: ?string}[]}
 */
export function withLinks(text) {
  const pieces = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    if (match[0].length > MOST_CHARACTERS || WITHIN.test(text.slice(from, match.index).slice(-2))) continue;
    const address = withoutSentence(match[0]);
    const href = hrefOf(address);
    if (href === null) continue;
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), href: null });
    pieces.push({ text: address, href });
    from = match.index + address.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), href: null });
  return pieces;
}

/** In "(see example.org/a_(b))." the address ends after its own bracket. @param {string} address */
function withoutSentence(address) {
  let end = address.length;
  for (;;) {
    const last = address[end - 1];
    const opening = OPENED_BY.get(last);
    const isBracketOfSentence = opening !== undefined && isUnopened(address.slice(0, end), opening, last);
    if (!isBracketOfSentence && !SENTENCE_END.test(address.slice(Math.max(0, end - 2), end))) return address.slice(0, end);
    end -= 1;
  }
}

/**
 * Whether there are more closing brackets than opening ones.
 * @param {string} address
 * @param {string} opening
 * @param {string} closing
 */
const isUnopened = (address, opening, closing) => address.split(closing).length > address.split(opening).length;

/** Where the address leads; null where it is none that may be pressed. @param {string} address @returns {?string} */
function hrefOf(address) {
  try {
    const url = new URL(/^www\./i.test(address) ? `https://${address}` : address);
    // "bank.example@evil.example" looks like one and leads to the other.
    const isPlain = url.username === "" && url.password === "";
    const isWeb = url.protocol === "https:" || url.protocol === "http:";
    const isWhole = url.hostname.replace(/^www\./, "") !== "" && !url.hostname.endsWith("..");
    return isPlain && isWeb && isWhole ? url.href : null;
  } catch {
    return null;
  }
}
