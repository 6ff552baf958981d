// Where the words that somebody looks for stand in a text. The server finds messages (mailbox/search/words.py); this marks in
// them what it found, by the same rules as far as a browser has them.

/** Characters before the first found word that are shown with it. */
const BEFORE = 30;
const MOST_SHOWN = 200;
/** So much of a message is looked through, as its words are to be marked while somebody types. */
const MOST_READ = 20_000;
const UNSEEN = /[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]|\p{Variation_Selector}/u;
const APOSTROPHES = /[\u2018\u2019\u02bc]/gu;
const AROUND = "- \"'`()[]{}<>,;:!?.\u00a1\u00ab\u00bb\u00bf\u2010-\u201f\u2026\u3001\u3002\u300c-\u300f";
const EDGES = new RegExp(`^[${AROUND.replaceAll(/[\]\\[]/g, "\\$&")}]+|[${AROUND.replaceAll(/[\]\\[]/g, "\\$&")}]+$`, "gu");
const OF_WORD = /[\p{L}\p{M}\p{N}_]/u;
/** Scripts that put nothing between words: a word begins and ends anywhere in them. */
const WITHOUT_SPACES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]/u;

/** @typedef {{text: string, isFound: boolean}} Piece */

/**
 * The part of a text that has the first of the found words, in pieces. Together they are that part, with "…" where the text
 * goes on.
 * @param {string} text
 * @param {string} query
 * @returns {Piece[]}
 */
export function excerptOf(text, query) {
  const places = placesOf(text, query);
  const first = places[0]?.from ?? 0;
  const from = first > BEFORE ? startOfWord(text, first - BEFORE, first) : 0;
  const end = wholeUpTo(text, from + MOST_SHOWN);
  /** @type {Piece[]} */
  const pieces = [];
  let at = from;
  const add = (/** @type {number} */ to, /** @type {boolean} */ isFound) => {
    if (to > at) pieces.push({ text: text.slice(at, to), isFound });
    at = Math.max(at, to);
  };
  for (const place of places.filter((one) => one.from < end)) {
    add(place.from, false);
    add(Math.min(place.to, end), true);
  }
  add(end, false);
  if (from > 0) pieces.unshift({ text: "…", isFound: false });
  if (end < text.length) pieces.push({ text: "…", isFound: false });
  return pieces;
}

/** @param {string} text @param {string} query @returns {{from: number, to: number}[]} In the order of their beginnings; they may overlap. */
function placesOf(text, query) {
  const phrases = folded(query).letters.join("").split(/\s+/u).map((phrase) => phrase.replaceAll(EDGES, "")).filter(Boolean);
  const { letters, from, to } = folded(text.slice(0, wholeUpTo(text, MOST_READ)));
  const whole = letters.join("");
  const found = phrases.flatMap((phrase, number) => {
    const isOpen = number === phrases.length - 1;
    const places = [];
    for (let at = whole.indexOf(phrase); at >= 0; at = whole.indexOf(phrase, at + phrase.length)) {
      const end = at + phrase.length;
      if (isEdge(whole, at) && (isOpen ? !/^\p{M}/u.test(whole.slice(end, end + 2)) : isEdge(whole, end))) {
        places.push({ from: from[at], to: to[end - 1] });
      }
    }
    return places;
  });
  return found.sort((one, other) => one.from - other.from);
}

/**
 * A text in the spelling in which it is compared, and for each code unit of that where what it is made of begins and ends.
 * @param {string} text
 */
function folded(text) {
  /** @type {string[]} */
  const letters = [];
  /** @type {number[]} */
  const from = [];
  /** @type {number[]} */
  const to = [];
  let at = 0;
  for (const character of text) {
    const end = at + character.length;
    if (!UNSEEN.test(character)) {
      for (const unit of spelled(character).split("")) {
        letters.push(unit);
        from.push(at);
        to.push(end);
      }
    }
    at = end;
  }
  return { letters, from, to };
}

/** Capital and small, wide and narrow, composed and decomposed are one. @param {string} character */
const spelled = (character) => character.normalize("NFKD").toUpperCase().toLowerCase().normalize("NFKD").replaceAll(APOSTROPHES, "'");

/** Whether a word begins or ends at this place. @param {string} text @param {number} at */
function isEdge(text, at) {
  const [before, after] = [characterBefore(text, at), String.fromCodePoint(text.codePointAt(at) ?? 32)];
  if (!OF_WORD.test(before) || !OF_WORD.test(after)) return true;
  return WITHOUT_SPACES.test(before) || WITHOUT_SPACES.test(after);
}

/** @param {string} text @param {number} at */
function characterBefore(text, at) {
  const isPair = /[\udc00-\udfff]/.test(text[at - 1] ?? "");
  return text.slice(Math.max(0, at - (isPair ? 2 : 1)), at);
}

/** The first beginning of a word from `least` on, before `most`; else `least`. @param {string} text @param {number} least @param {number} most */
function startOfWord(text, least, most) {
  const space = text.slice(least, most).search(/\s\S/u);
  return space < 0 ? wholeUpTo(text, least) : least + space + 1;
}

/** `at`, or one less, where it would divide a character. @param {string} text @param {number} at */
const wholeUpTo = (text, at) => (at < text.length && /[\udc00-\udfff]/.test(text[at]) ? at - 1 : Math.min(at, text.length));
