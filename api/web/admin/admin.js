// The operator's page of a cluster: who owns what, what moves, and what is wrong, looked at every two seconds. It asks
// the server that it came from, by the calls of /operator/, with a token that the operator brings.

/**
 * @typedef {{sendsPerSecond: number, fetchesPerSecond: number, mailboxes: number, commitP99Ms: number}} Load
 * @typedef {{nodeId: string, incarnation: string, state: string, address: string, zone: string, weight: number,
 *   shards: number, share: number, leaving: number, arriving: number, quietSeconds: number | null,
 *   draining: boolean, load: Load | null}} ClusterNode
 * @typedef {{version: number, shards: number, moving: number, ownerless: number, pinned: number, wrong: string[], noted: string[],
 *   nodes: ClusterNode[], runs: [count: number, owner: string | null, target: string | null][],
 *   changes: string[]}} Cluster
 */

const EVERY_MS = 2000;
const MOST_EVENTS = 50;
const GOOD_STATES = ["alive", "standby", "joining", "draining"];
const TITLE = document.title;
const TOKEN = "rowbox-operator-token";

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${id}`);
  return found;
}

const verdict = element("verdict", HTMLParagraphElement);
const signIn = element("sign-in", HTMLFormElement);
const tokenInput = element("token", HTMLInputElement);
const refused = element("refused", HTMLParagraphElement);
const clusterPart = element("cluster", HTMLDivElement);
const wrongList = element("wrong", HTMLUListElement);
const notedList = element("noted", HTMLUListElement);
const nodeRows = element("nodes", HTMLTableSectionElement);
const grid = element("grid", HTMLCanvasElement);
const underPointer = element("under-pointer", HTMLParagraphElement);
const eventList = element("events", HTMLOListElement);
const asOf = element("as-of", HTMLParagraphElement);
const table = element("table", HTMLTableElement);
const dialog = element("ask", HTMLDialogElement);
const askTitle = element("ask-title", HTMLHeadingElement);
const planList = element("plan", HTMLUListElement);
const failed = element("failed", HTMLParagraphElement);
const doIt = element("do-it", HTMLButtonElement);

class Refused extends Error {}

/** The version of the map that the page has shown: the server tells what has changed since. */
let shownVersion = 0;
/** The ids of all nodes, in the order in which they are listed. @type {string[]} */
let places = [];
/** @type {Cluster | null} */
let shown = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {string} call @param {object} body @returns {Promise<any>} */
async function ask(call, body) {
  const response = await fetch(`/operator/${call}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.status === 401 || response.status === 403) throw new Refused(answer.detail);
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

async function look() {
  clearTimeout(timer);
  try {
    show(await ask("cluster", { since: shownVersion }));
  } catch (error) {
    if (error instanceof Refused) {
      askForToken(error.message);
      return;
    }
    say("bad", `This server does not answer: ${error instanceof Error ? error.message : error}`);
    clusterPart.classList.add("old");
  }
  timer = setTimeout(look, EVERY_MS);
}

/** What stands on top, and before the name of the tab, which may be one of many. @param {string} kind @param {string} text */
function say(kind, text) {
  if (verdict.textContent !== text) verdict.textContent = text; // screen readers say it again where it is set again
  verdict.className = kind;
  document.title = kind === "bad" ? `! ${TITLE}` : TITLE;
}

/** @param {string} why */
function askForToken(why) {
  const had = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  clusterPart.hidden = true;
  signIn.hidden = false;
  say("", "Who you are is not known yet.");
  refused.textContent = had ? `The token was refused: ${why}` : "";
  tokenInput.focus();
}

/** @param {Cluster} cluster */
function show(cluster) {
  signIn.hidden = true;
  clusterPart.hidden = false;
  const owners = cluster.nodes.filter((node) => node.shards > 0).length;
  const owned = cluster.shards - cluster.ownerless;
  const moving = cluster.moving ? `, ${number(cluster.moving)} on the move` : "";
  const wrong = cluster.wrong.length;
  say(
    wrong ? "bad" : cluster.noted.length ? "noted" : "good",
    `${wrong ? `${wrong} ${wrong === 1 ? "thing is" : "things are"} wrong` : cluster.noted.length ? "Every shard is served" : "All is well"}: ` +
    `${owners} of ${cluster.nodes.length} nodes own ${number(owned)} of ${number(cluster.shards)} shards, ` +
    `map version ${cluster.version}${moving}`,
  );
  clusterPart.classList.remove("old");
  asOf.textContent = `As of ${new Date().toLocaleTimeString()}`;
  wrongList.replaceChildren(...cluster.wrong.map((text) => made("li", text)));
  notedList.replaceChildren(...cluster.noted.map((text) => made("li", text)));
  places = cluster.nodes.map((node) => node.nodeId);
  showNodes(cluster.nodes);
  showEvents(cluster);
  drawGrid(cluster);
  shown = cluster;
  shownVersion = cluster.version;
}

/** @param {ClusterNode[]} nodes */
function showNodes(nodes) {
  const shownIf = {
    moves: nodes.some((node) => node.leaving || node.arriving),
    weight: nodes.some((node) => node.weight !== 100),
    zone: nodes.some((node) => node.zone),
    load: nodes.some((node) => node.load !== null),
  };
  for (const [name, isShown] of Object.entries(shownIf)) table.classList.toggle(`no-${name}`, !isShown);
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.node : undefined;
  nodeRows.replaceChildren(...nodes.map(nodeRow));
  if (focused === undefined) return;
  for (const button of nodeRows.querySelectorAll("button")) if (button.dataset.node === focused) button.focus();
}

/** @param {ClusterNode} node */
function nodeRow(node) {
  const row = document.createElement("tr");
  const name = made("th", node.nodeId || node.incarnation.slice(0, 8));
  name.setAttribute("scope", "row");
  const patch = made("span", "");
  patch.className = "patch";
  patch.style.background = node.shards ? colour(node.nodeId) : "transparent";
  name.prepend(patch);
  const state = named("state", made("td", node.state), GOOD_STATES.includes(node.state) ? node.state : "bad");
  const beat = node.quietSeconds === null ? "?" : node.quietSeconds < 1 ? "now" : `${Math.round(node.quietSeconds)} s ago`;
  const load = node.load;
  row.append(
    name,
    state,
    figure("shards", number(node.shards)),
    figure("of its share", node.share ? `${Math.round((100 * node.shards) / node.share)}%` : ""),
    figure("out", node.leaving ? number(node.leaving) : "", "moves"),
    figure("in", node.arriving ? number(node.arriving) : "", "moves"),
    figure("sends/s", load ? number(Math.round(load.sendsPerSecond)) : "", "load"),
    figure("fetches/s", load ? number(Math.round(load.fetchesPerSecond)) : "", "load"),
    figure("mailboxes", load ? number(load.mailboxes) : "", "load"),
    figure("commit", load ? `${number(Math.round(load.commitP99Ms))} ms` : "", "load"),
    figure("weight", String(node.weight), "weight"),
    named("zone", made("td", node.zone), "zone"),
    named("last beat", made("td", beat)),
  );
  const cell = made("td", "");
  cell.className = "todo";
  if (node.nodeId && !["gone", "stopped", "dead"].includes(node.state)) {
    const button = document.createElement("button");
    button.textContent = node.draining ? "Undrain" : "Drain";
    button.dataset.node = node.nodeId;
    button.setAttribute("aria-label", `${button.textContent} ${node.nodeId}`);
    button.addEventListener("click", () => void offer(node.nodeId, !node.draining));
    cell.append(button);
  }
  row.append(cell, named("runs at", made("td", node.address), "address"));
  return row;
}

/** @param {Cluster} cluster */
function showEvents(cluster) {
  if (shownVersion === 0 || cluster.changes.length === 0) return;
  const now = new Date();
  for (const text of cluster.changes) {
    const entry = made("li", ` ${text}`);
    const time = document.createElement("time");
    time.dateTime = now.toISOString();
    time.textContent = now.toLocaleTimeString();
    entry.prepend(time);
    eventList.prepend(entry);
  }
  while (eventList.childElementCount > MOST_EVENTS) eventList.lastElementChild?.remove();
}

/** Asks for confirmation, with what would happen in words. @param {string} nodeId @param {boolean} draining */
async function offer(nodeId, draining) {
  const wish = { nodeId, draining };
  askTitle.textContent = `${draining ? "Drain" : "Undrain"} ${nodeId}?`;
  failed.textContent = "";
  planList.replaceChildren(made("li", "Asking what would move ..."));
  doIt.disabled = true;
  dialog.returnValue = "no";
  dialog.showModal();
  try {
    const plan = await ask("clusterPreview", wish);
    planList.replaceChildren(...plan.changes.map((/** @type {string} */ text) => made("li", text)));
    doIt.disabled = false;
  } catch (error) {
    failed.textContent = error instanceof Error ? error.message : String(error);
  }
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") void carryOut(wish);
  };
}

/** @param {{nodeId: string, draining: boolean}} wish */
async function carryOut(wish) {
  try {
    await ask("clusterWish", wish);
  } catch (error) {
    say("bad", `That was not done: ${error instanceof Error ? error.message : error}`);
    return;
  }
  await look();
}

/** @param {Cluster} cluster */
function drawGrid(cluster) {
  const side = Math.ceil(Math.sqrt(cluster.shards));
  const size = Math.max(2, Math.floor(640 / side));
  grid.width = side * size;
  grid.height = Math.ceil(cluster.shards / side) * size;
  const context = grid.getContext("2d");
  if (context === null) return;
  let shard = 0;
  for (const [count, owner, target] of cluster.runs) {
    for (let end = shard + count; shard < end; shard += 1) {
      const [x, y] = [(shard % side) * size, Math.floor(shard / side) * size];
      context.fillStyle = owner === null ? "#d00000" : colour(owner);
      context.fillRect(x, y, size, size);
      if (target === null) continue;
      context.fillStyle = colour(target);
      context.fillRect(x, y, Math.ceil(size / 2), Math.ceil(size / 2));
    }
  }
}

for (const event of /** @type {const} */ (["pointermove", "pointerdown"])) grid.addEventListener(event, tellShard);

/** @param {PointerEvent} event */
function tellShard(event) {
  if (shown === null) return;
  const side = Math.ceil(Math.sqrt(shown.shards));
  const size = grid.getBoundingClientRect().width / side;
  const wanted = Math.floor(event.offsetY / size) * side + Math.floor(event.offsetX / size);
  let first = 0;
  for (const [count, owner, target] of shown.runs) {
    if (wanted < first + count) {
      const to = target === null ? "" : `, on the move to ${target}`;
      underPointer.textContent = `Shard ${wanted}: ${owner ?? "nobody's"}${to}`;
      return;
    }
    first += count;
  }
}

signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, tokenInput.value.trim());
  tokenInput.value = "";
  void look();
});

/** The colour of a node: by its place among all, so that neighbours in the list differ most. @param {string} nodeId */
function colour(nodeId) {
  const place = places.indexOf(nodeId);
  return `hsl(${(place * 137.5 + 210) % 360} 55% ${48 + (place % 3) * 9}%)`;
}

/** @param {string} name @param {string} text */
function made(name, text) {
  const one = document.createElement(name);
  one.textContent = text;
  return one;
}

/** A cell that says what it is, where a narrow page has no head above it. @param {string} label
 * @param {HTMLElement} cell @param {string} [kind] */
function named(label, cell, kind = "") {
  cell.dataset.label = label;
  cell.className = kind;
  return cell;
}

/** @param {string} label @param {string} value @param {string} [kind] */
function figure(label, value, kind = "") {
  return named(label, made("td", value), `number ${kind}`);
}

/** @param {number} value */
function number(value) {
  return value.toLocaleString("en");
}

const given = /^#token=(.+)$/.exec(location.hash);
if (given !== null) {
  sessionStorage.setItem(TOKEN, decodeURIComponent(given[1]));
  history.replaceState(null, "", location.pathname);
}
void look();
