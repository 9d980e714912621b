// Two small charts, drawn by hand as SVG at the size they have on the page.

import { WORDS, who } from "./decision.js";
import { replace, svg } from "./dom.js";
import { decibel, percent, score } from "./format.js";
import { BUCKET_DB, bounded, outcome, wilson } from "./tally.js";

const HEIGHT = 190;
const LEFT = 46;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 34;
const TICK_WIDTH = 44;
const SPAN_MIN = 1e-90;

/** Numbers of at most `most` even steps of 1, 2 or 5 times a power of ten, within a range. */
export function ticks(low, high, most) {
  const span = high - low;
  if (!(span > SPAN_MIN) || !Number.isFinite(span)) return [];
  const wanted = span / Math.max(1, most);
  const ten = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((factor) => factor * ten).find((size) => size >= wanted * (1 - 1e-9));
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const [first, last] = [Math.ceil(low / step - 1e-6), Math.floor(high / step + 1e-6)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toFixed(digits)));
}

const minus = (value) => String(value).replace("-", "−");

function frame(box, label) {
  const width = Math.max(240, Math.floor(box.clientWidth || 320));
  const root = svg("svg", {
    class: "chart", role: "img", "aria-label": label, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`,
  });
  return { root, width, inner: width - LEFT - RIGHT, bottom: HEIGHT - BOTTOM };
}

function levels(f, ticks, y, name) {
  for (const [at, text] of ticks) {
    const line = { x1: LEFT, x2: LEFT + f.inner, y1: y(at), y2: y(at), class: "grid" };
    f.root.append(
      svg("line", line),
      svg("text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, text),
    );
  }
  f.root.append(svg("text", { x: LEFT + f.inner / 2, y: HEIGHT - 3, "text-anchor": "middle" }, name));
}

/** Share right at the first rank in each range of SNR, with its 95 % interval. */
export function accuracyChart(box, buckets) {
  const words = buckets
    .map((b) => `${minus(b.low)} to ${minus(b.low + BUCKET_DB)} dB: ${percent(b.right, b.all)} of ${b.all}`)
    .join("; ");
  const f = frame(box, `Right at first rank by SNR. ${words}`);
  const y = (share) => TOP + (1 - share) * (f.bottom - TOP);
  levels(f, ticks(0, 1, 5).map((share) => [share, `${Math.round(100 * share)} %`]), y, "SNR at the receiver, dB");
  const high = buckets.at(-1).low + BUCKET_DB;
  const low = Math.min(buckets[0].low, high - 4 * BUCKET_DB);
  const slots = (high - low) / BUCKET_DB;
  const step = f.inner / slots;
  const bar = Math.min(34, step * 0.72);
  for (const b of buckets) {
    const slot = (b.low - low) / BUCKET_DB;
    const x = LEFT + step * (slot + 0.5);
    const [from, to] = wilson(b.right, b.all);
    const top = y(b.right / b.all);
    f.root.append(
      svg("g", {},
        svg("title", {}, `${minus(b.low)} to ${minus(b.low + BUCKET_DB)} dB: ${percent(b.right, b.all)} of ${b.all} queries`),
        svg("rect", { class: "bar", x: x - bar / 2, width: bar, y: top, height: Math.max(1, f.bottom - top), rx: 2 }),
        svg("line", { class: "whisker", x1: x, x2: x, y1: y(from), y2: y(to) }),
      ),
    );
  }
  for (const at of ticks(low, high, f.inner / TICK_WIDTH)) {
    f.root.append(svg("text", { x: LEFT + (step * (at - low)) / BUCKET_DB, y: f.bottom + 15, "text-anchor": "middle" }, minus(at)));
  }
  replace(box, f.root);
}

const MARKS = {
  match: (x, y) => svg("circle", { cx: x, cy: y, r: 4 }),
  ambiguous: (x, y) => svg("path", { d: `M${x} ${y - 5}L${x + 5} ${y}L${x} ${y + 5}L${x - 5} ${y}Z` }),
  unknown: (x, y) => svg("rect", { x: x - 3.5, y: y - 3.5, width: 7, height: 7 }),
  unspecified: (x, y) => svg("circle", { cx: x, cy: y, r: 3.5 }),
  refused: (x, y) => svg("path", { d: `M${x} ${y - 5}L${x + 5} ${y + 4}L${x - 5} ${y + 4}Z` }),
  outage: (x, y) => svg("path", { d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x + 4} ${y - 4}L${x - 4} ${y + 4}` }),
};

/** The mark that stands for an outcome, for the legend. */
export function mark(kind) {
  const root = svg("svg", { class: "mark", width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" });
  root.append(svg("g", { class: `point ${kind}` }, MARKS[kind](7, 7)));
  return root;
}

/** The thresholds that queries met, a line [snr, threshold] for each scheme, by SNR. */
function thresholds(queries) {
  const schemes = new Map();
  for (const query of queries) {
    if (!(query.threshold > 0)) continue;
    const line = schemes.get(query.scheme) ?? new Map();
    schemes.set(query.scheme, line.set(Math.round(query.snr_db * 2) / 2, query.threshold));
  }
  return [...schemes.values()].map((line) => [...line].sort((a, b) => a[0] - b[0]));
}

/** Best score of each of the last queries over its SNR, and the thresholds they met. */
export function scoreChart(box, queries) {
  const shown = queries
    .filter((query) => Number.isFinite(query.snr_db) && outcome(query) !== "refused")
    .map((query) => ({ ...query, snr_db: bounded(query.snr_db) }));
  const f = frame(box, `Best score by SNR of the last ${shown.length} queries`);
  const snr = shown.map((query) => query.snr_db);
  const scores = shown.filter((q) => !q.outage && q.identities?.length).map((q) => q.identities[0].score);
  const low = Math.floor((Math.min(...snr) - 1) / 2) * 2;
  const high = Math.ceil((Math.max(...snr) + 1) / 2) * 2;
  const floor = Math.max(-1, Math.min(0.5, Math.floor(Math.min(...scores, 0.5) * 10) / 10));
  const y = (value) => TOP + (1 - (Math.max(-2, Math.min(2, value)) - floor) / (1 - floor)) * (f.bottom - TOP - 12);
  const x = (value) => LEFT + ((value - low) / (high - low)) * f.inner;
  const marks = ticks(floor, 1, 5);
  const digits = marks.every((value) => Number.isInteger(10 * value)) ? 1 : 2;
  levels(f, marks.map((value) => [value, minus(value.toFixed(digits))]), y, "SNR at the receiver, dB");
  for (const at of ticks(low, high, f.inner / TICK_WIDTH)) {
    f.root.append(svg("text", { x: x(at), y: f.bottom + 15, "text-anchor": "middle" }, minus(at)));
  }
  for (const line of thresholds(shown)) {
    const points = line.length > 1 ? line : [[line[0][0] - 0.5, line[0][1]], [line[0][0] + 0.5, line[0][1]]];
    f.root.append(svg("polyline", { class: "threshold", points: points.map(([at, value]) => `${x(at)},${y(value)}`).join(" ") }));
  }
  for (const query of shown) {
    const kind = outcome(query);
    const best = query.identities?.[0]?.score;
    const markY = kind === "outage" || best === undefined ? f.bottom - 6 : y(best);
    f.root.append(
      svg("g", { class: `point ${kind}` },
        svg("title", {}, `${WORDS[kind]}, ${who(query)}: ${score(best)} at ${decibel(query.snr_db)}`),
        MARKS[kind](x(query.snr_db), markY),
      ),
    );
  }
  replace(box, f.root);
}
