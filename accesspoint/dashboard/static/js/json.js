// A JSON value for people: names and values, tables of rows alike, the rest folded; raw on demand.

import { h, replace } from "./dom.js";

const ROWS_MAX = 50;
const DEPTH_MAX = 6;
const NUMBER = new Intl.NumberFormat("en", { maximumSignificantDigits: 6, useGrouping: false });

/** Null, or a list or object without anything in it. */
const isEmpty = (value) => typeof value === "object" && !Object.keys(value ?? {}).length;
const isPlain = (value) => typeof value !== "object" || isEmpty(value);
const isRow = (value) => !isPlain(value) && !Array.isArray(value);
const words = (name) => String(name).replaceAll("_", " ");

/** A number, text or truth value in words. */
export function plainText(value) {
  if (value === undefined || value === "" || isEmpty(value)) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return NUMBER.format(value).replace("-", "−");
  return String(value);
}

const rest = (count, shown) => (count > shown ? h("p", { class: "muted small" }, `and ${count - shown} more, in the raw JSON`) : null);

function table(rows) {
  const names = [...new Set(rows.slice(0, ROWS_MAX).flatMap(Object.keys))].filter((name) => rows.some((row) => isPlain(row[name]) && row[name] !== undefined));
  const body = rows.slice(0, ROWS_MAX).map((row) => h("tr", {},
    names.map((name) => h("td", { class: typeof row[name] === "number" ? "number" : "" }, isPlain(row[name]) ? plainText(row[name]) : "…"))));
  return [
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {},
      h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, words(name))))),
      h("tbody", {}, body))),
    rest(rows.length, ROWS_MAX),
  ];
}

function list(values, depth) {
  if (values.every(isPlain)) return [values.slice(0, ROWS_MAX).map(plainText).join(", "), rest(values.length, ROWS_MAX)];
  if (values.every((value) => isRow(value) && Object.values(value).every(isPlain))) return table(values);
  return values.slice(0, ROWS_MAX).map((value, i) => folded(isRow(value) ? title(value, i) : `${i + 1}`, value, depth)).concat(rest(values.length, ROWS_MAX) ?? []);
}

/** The name that a row has among others: its first text. */
const title = (value, i) => Object.values(value).find((field) => typeof field === "string" && field) ?? `${i + 1}`;

/** A part that is made when it is opened: a report has thousands. */
function folded(name, value, depth) {
  const item = h("details", {}, h("summary", {}, words(name)));
  item.addEventListener("toggle", () => {
    if (item.open && item.children.length === 1) item.append(h("div", { class: "inside" }, readable(value, depth + 1)));
  });
  return item;
}

/** A value as elements. */
export function readable(value, depth = 0) {
  if (isPlain(value)) return plainText(value);
  if (depth >= DEPTH_MAX) return "see the raw JSON";
  if (Array.isArray(value)) return list(value, depth);
  const fields = Object.entries(value);
  const plain = fields.filter(([, field]) => isPlain(field));
  const deep = fields.filter(([, field]) => !isPlain(field));
  return [
    plain.length ? h("dl", { class: "pairs" }, plain.slice(0, ROWS_MAX).map(([name, field]) => [h("dt", {}, words(name)), h("dd", {}, plainText(field))])) : null,
    deep.slice(0, ROWS_MAX).map(([name, field]) => folded(name, field, depth)),
    rest(fields.length, 2 * ROWS_MAX),
  ];
}

/** All of a value, folded: readable, and on demand as it came. */
export function allOf(value, text) {
  const raw = h("pre", { hidden: true, tabindex: "0", "aria-label": "Raw JSON" });
  const button = h("button", { type: "button", class: "quiet small", "aria-expanded": "false" }, "Raw JSON");
  button.addEventListener("click", () => {
    raw.hidden = !raw.hidden;
    button.setAttribute("aria-expanded", String(!raw.hidden));
    replace(raw, raw.hidden ? "" : text);
  });
  const item = h("details", { class: "all" }, h("summary", {}, "All of it"));
  item.addEventListener("toggle", () => {
    if (item.open && item.children.length === 1) item.append(h("div", { class: "inside" }, readable(value), button, raw));
  });
  return item;
}
