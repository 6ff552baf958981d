// Shows openapi.json and lets one try its calls. No library, no network but this server; text of the document only ever
// becomes text (textContent), never markup, so nothing in it can run.

/** @typedef {any} Json A part of the document: what it holds, the document itself says. */

/** @type {Json} */
const spec = await (await fetch("openapi.json")).json();

/**
 * An element: `el("a", {href: "#x"}, "text", otherElement)`. Strings become text nodes.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 * @param {...any} children
 */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

/** @param {Json} schema */
const resolve = (schema) =>
  schema?.$ref ? schema.$ref.split("/").slice(1).reduce((/** @type {Json} */ part, /** @type {string} */ key) => part[key], spec) : schema;

/** Of a body that has several forms, the first: the others are older spellings. @param {Json} schema */
const firstForm = (schema) => resolve(resolve(schema).oneOf?.[0] ?? schema);

/** What stands between backticks is code. @param {string} text */
const worded = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** @param {string} text */
const paragraphs = (text) => text.split("\n\n").map((paragraph) => el("p", {}, worded(paragraph)));

/** A schema in a few words: "string ^[a-z]+$", "integer 0..10", "array of Message". @param {Json} schema @returns {string} */
function typeText(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeText).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((/** @type {Json} */ value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `array of ${typeText(schema.items)}`;
  const range = schema.minimum != null || schema.maximum != null ? `${schema.minimum ?? ""}..${schema.maximum ?? ""}` : "";
  const length = schema.maxLength != null ? `of ${schema.minLength ?? 0} to ${schema.maxLength} characters` : "";
  return [schema.type, range, length, schema.pattern].filter(Boolean).join(" ");
}

/** A value that fits a schema, to begin from. @param {Json} schema @returns {Json} */
function sample(schema) {
  const of = firstForm(schema);
  if (of.examples?.length) return of.examples[0];
  if (of.default !== undefined) return of.default;
  if (of.type === "object") {
    const wanted = new Set(of.required ?? []);
    return Object.fromEntries(Object.entries(of.properties).filter(([name]) => wanted.has(name)).map(([name, s]) => [name, sample(s)]));
  }
  return of.type === "integer" ? 0 : "";
}

/**
 * @param {string[]} head
 * @param {Json[][]} rows
 */
function table(head, rows) {
  return el("table", {}, el("tr", {}, head.map((text) => el("th", {}, text))), rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))));
}

/** @param {Json} schema */
function schemaTable(schema) {
  const of = resolve(schema);
  const required = new Set(of.required ?? []);
  return table(
    ["field", "type", ""],
    Object.entries(of.properties).map(([name, s]) => [
      el("code", {}, name, required.has(name) ? el("span", { class: "required", title: "required" }, " *") : ""),
      el("code", {}, typeText(s)),
      el("span", {}, s.deprecated ? "Deprecated. " : "", worded(s.description ?? "")),
    ]),
  );
}

/**
 * The form that sends one call and shows what came back.
 * @param {string} method
 * @param {string} path
 * @param {Json} operation
 */
function tryIt(method, path, operation) {
  /** @type {Map<string, HTMLInputElement>} */
  const inputs = new Map((operation.parameters ?? []).map((/** @type {Json} */ parameter) => [parameter.name, el("input", { "aria-label": parameter.name })]));
  const body = operation.requestBody ? el("textarea", { "aria-label": "body", spellcheck: "false" }) : null;
  if (body) body.value = JSON.stringify(sample(operation.requestBody.content["application/json"].schema), null, 2);
  const result = el("pre", { hidden: "", "aria-live": "polite" });
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const query = new URLSearchParams([...inputs].filter(([, input]) => input.value !== "").map(([name, input]) => [name, input.value]));
    const token = /** @type {HTMLInputElement} */ (document.getElementById("token")).value.trim();
    /** @type {Record<string, string>} */
    const headers = { Authorization: `Bearer ${token}` };
    if (body) headers["Content-Type"] = "application/json";
    result.hidden = false;
    result.textContent = "…";
    try {
      const url = path.slice(1) + (query.size ? `?${query}` : "");
      const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
      result.textContent = `${response.status} ${response.statusText}\n${[...response.headers].map(([k, v]) => `${k}: ${v}`).join("\n")}\n\n${shown}`;
    } catch (error) {
      result.textContent = String(error);
    }
  };
  const form = el("form", {}, [...inputs].map(([name, input]) => el("label", {}, name, input)), body, el("button", {}, "Send"), result);
  form.addEventListener("submit", send);
  return el("details", {}, el("summary", {}, "Try it"), form);
}

/** @param {[string, Json]} answer */
function responseRow([status, response]) {
  const media = Object.entries(response.content ?? {})[0];
  const codes = media && resolve(media[1].schema).properties.code?.enum;
  const shown = codes
    ? codes.map((/** @type {string} */ code, /** @type {number} */ i) => [i ? ", " : "", el("a", { href: `#${code}` }, el("code", {}, code))])
    : media ? [el("a", { href: `#${typeText(media[1].schema)}` }, el("code", {}, typeText(media[1].schema)))] : [];
  return [el("code", {}, status), response.description, el("span", {}, shown.flat())];
}

/** The examples of an answer that were played on a server: the request, and what came. @param {[string, Json]} answer */
function played([status, response]) {
  const examples = Object.values(response.content ?? {}).flatMap((media) => Object.values(media.examples ?? {}));
  return examples.filter((example) => example["x-request"]).map((example) => {
    const { user, path, body } = example["x-request"];
    const sent = `${body ? "POST" : "GET"} ${path}\nAuthorization: Bearer (the token of ${user})\n`;
    const text = `${sent}${body ? `\n${JSON.stringify(body, null, 2)}\n` : ""}\n${status}\n\n${JSON.stringify(example.value, null, 2)}`;
    return el("details", {}, el("summary", {}, example.summary), el("pre", {}, text));
  });
}

/**
 * @param {string} path
 * @param {string} method
 * @param {Json} operation
 */
function operationSection(path, method, operation) {
  const section = el("section", { id: operation.operationId });
  section.append(
    el("h2", {}, el("span", { class: "method" }, method.toUpperCase()), el("code", {}, path)),
    el("p", {}, operation.summary),
    ...paragraphs(operation.description),
  );
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((/** @type {Json} */ parameter) => [
      el("code", {}, parameter.name, parameter.required ? el("span", { class: "required", title: "required" }, " *") : ""),
      el("code", {}, typeText(parameter.schema) + (parameter.schema.default !== undefined ? ` = ${parameter.schema.default}` : "")),
      el("span", {}, worded(parameter.description)),
    ]);
    section.append(el("h3", {}, "Query"), table(["parameter", "type", ""], rows));
  }
  if (operation.requestBody) {
    const { schema } = operation.requestBody.content["application/json"];
    section.append(el("h3", {}, "Body"), el("p", { class: "note" }, worded(firstForm(schema).description)), schemaTable(firstForm(schema)));
  }
  section.append(el("h3", {}, "Answers"), table(["status", "", "body"], Object.entries(operation.responses).map(responseRow)));
  section.append(...Object.entries(operation.responses).flatMap(played), tryIt(method, path, operation));
  return section;
}

function problems() {
  const rows = Object.entries(spec["x-problems"]).map(([code, { status, title, retryable, advice }]) => [
    el("code", { id: code }, code), String(status), el("span", {}, `${title}. `, worded(advice)), retryable ? "retry" : "",
  ]);
  return el("section", { id: "problems" }, el("h2", {}, "Problems"), table(["code", "status", "", ""], rows));
}

const schemas = Object.entries(spec.components.schemas).map(([name, schema]) =>
  el("section", { id: name }, el("h2", {}, el("code", {}, name)), el("p", { class: "note" }, worded(schema.description ?? "")), schemaTable(schema)));
const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => operationSection(path, method, operation)));

/** @type {HTMLElement} */ (document.getElementById("main")).replaceChildren(
  ...paragraphs(spec.info.description),
  el("p", { class: "note" }, `Version ${spec.info.version}`),
  ...operations, problems(), ...schemas,
);
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
