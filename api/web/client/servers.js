/**
 * At which servers a client may open its socket, and say its token, beside the one that it was given: client/calls/servers.py
 * in JavaScript, which says why. tests/client/feed/servers.json has what both have to say.
 *
 *     https://chat-1.example.com          this one
 *     https://*.chat.example.com:8443     each host below chat.example.com, at this port
 *
 * @module servers
 */

const URLS =
  /^(https?|wss?):\/\/([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(\/[A-Za-z0-9._~/-]*)?$/;
const WILD = "*.";

/** @typedef {{scheme: string, host: string, port: number}} Origin */

/**
 * The origin of a socket at this URL; null where it does not fit the pattern.
 * @param {string} url
 * @returns {?Origin}
 */
function originOf(url) {
  const match = URLS.exec(url);
  if (match === null) return null;
  const scheme = match[1].replace("http", "ws");
  const port = match[3] ? Number(match[3]) : scheme === "wss" ? 443 : 80;
  return port > 0 && port < 65536 ? { scheme, host: match[2].toLowerCase(), port } : null;
}

/** The server at a URL, and those that a program trusts beside it. */
export class Servers {
  #own;
  /** @type {Origin[]} */
  #hosts = [];
  /** @type {Origin[]} */
  #domains = [];

  /**
   * Throws a TypeError where one of `trusted` is no origin.
   * @param {string} ownUrl
   * @param {Iterable<string>} [trusted]
   */
  constructor(ownUrl, trusted = []) {
    if (typeof trusted === "string") throw new TypeError("servers are several origins, not one text");
    this.#own = originOf(ownUrl);
    for (const text of trusted) this.#trust(text);
  }

  /** Whether there is any server to be sent to. */
  get hasOthers() {
    return this.#hosts.length + this.#domains.length > 0;
  }

  /** Whether a socket may be opened at `url`, which a server has named: ws:// or wss://. @param {unknown} url */
  allows(url) {
    const origin = typeof url === "string" && /^wss?:/.test(url) ? originOf(url) : null;
    if (origin === null) return false;
    const isAt = (/** @type {Origin} */ one) => one.scheme === origin.scheme && one.port === origin.port;
    const isHere = (/** @type {?Origin} */ one) => one !== null && isAt(one) && one.host === origin.host;
    const isBelow = (/** @type {Origin} */ one) => isAt(one) && origin.host.endsWith(`.${one.host}`);
    return isHere(this.#own) || this.#hosts.some(isHere) || this.#domains.some(isBelow);
  }

  /** @param {unknown} text */
  #trust(text) {
    const [, scheme = "", wild = "", place = ""] = /^(\w+:\/\/)(\*\.)?(.*)$/s.exec(String(text)) ?? [];
    const origin = originOf(scheme + place);
    if (typeof text !== "string" || origin === null || place.includes("/")) {
      throw new TypeError(`a server's origin is https://host:port or https://*.domain:port: ${text}`);
    }
    (wild === WILD ? this.#domains : this.#hosts).push(origin);
  }
}
