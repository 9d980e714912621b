// One answered query: a line that opens to its ranked results, and the large card.

import { clock, decibel, milliseconds, score } from "./format.js";
import { h } from "./dom.js";
import { outcome, right, spent } from "./tally.js";

export const WORDS = {
  match: "Match",
  ambiguous: "Ambiguous",
  unknown: "Unknown",
  outage: "Lost",
  refused: "Refused",
  unspecified: "Ranked",
};

export const MEANING = {
  match: "The best subject is above the threshold and clear of the second.",
  ambiguous: "Somebody is near the threshold, or two subjects are too close to call.",
  unknown: "Nobody in the gallery is alike enough.",
  outage: "The radio lost this block: its bits did not arrive.",
  refused: "The access point did not answer this block.",
  unspecified: "Ranked only: no thresholds are calibrated for its scheme. See Health.",
};

const SIGNS = { match: "✓", ambiguous: "?", unknown: "–", outage: "×", refused: "!", unspecified: "#" };

export function badge(query) {
  const kind = outcome(query);
  return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, SIGNS[kind]), " ", WORDS[kind]);
}

/** Subject that the page names: the one decided for, else the best of the ranking. */
export function who(query) {
  const kind = outcome(query);
  if (kind === "outage") return "block lost";
  if (kind === "refused") return query.code.replaceAll("_", " ");
  return query.subject || query.identities?.[0]?.subject || "gallery is empty";
}

const best = (query) => query.identities?.[0]?.score;

function truth(query) {
  const correct = right(query);
  if (correct === null) return null;
  return correct
    ? h("span", { class: "truth right" }, "✓ right")
    : h("span", { class: "truth wrong" }, `✗ is ${query.truth}`);
}

/** Score as a length, the threshold as a mark on it. */
export function meter(value, threshold) {
  const track = h("span", { class: "meter", "aria-hidden": "true" });
  const bar = h("span", { class: "meter-bar" });
  bar.style.inlineSize = `${Math.max(0, Math.min(1, value ?? 0)) * 100}%`;
  track.append(bar);
  if (threshold > 0) {
    const line = h("span", { class: "meter-threshold" });
    line.style.insetInlineStart = `${Math.min(1, threshold) * 100}%`;
    track.append(line);
  }
  return track;
}

export function ranking(query) {
  const kind = outcome(query);
  if (kind === "outage" || kind === "refused") return h("p", { class: "muted" }, MEANING[kind]);
  if (!query.identities?.length) return h("p", { class: "muted" }, "The gallery has nobody to compare with.");
  return h("ol", { class: "ranking" },
    query.identities.map((identity) =>
      h("li", { class: query.truth && identity.subject === query.truth ? "is-truth" : "" },
        h("span", { class: "name" }, identity.subject),
        meter(identity.score, query.threshold),
        h("span", { class: "value" }, score(identity.score)),
        h("span", { class: "muted small camera" }, identity.camera),
      ),
    ),
  );
}

function details(query) {
  const facts = [
    ["Edge", query.edge_id || "–"],
    ["Frame", query.sequence],
    query.track_id ? ["Track", query.track_id] : null,
    query.fused_frames > 1 ? ["Frames fused", query.fused_frames] : null,
    ["Scheme", query.scheme],
    ["Link", query.link],
    ["Channel", query.model || "direct"],
    ["Queue", milliseconds(query.queue_ms)],
    ["Decode", milliseconds(query.decode_ms)],
    ["Search", milliseconds(query.search_ms)],
    ["Threshold", query.threshold > 0 ? score(query.threshold) : "none"],
  ].filter(Boolean);
  return h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function row(query) {
  const item = h("details", { class: "query" });
  item.append(
    h("summary", {},
      badge(query),
      h("span", { class: "who" }, who(query)),
      h("span", { class: "value" }, best(query) === undefined ? "" : score(best(query))),
      h("span", { class: "snr" }, Number.isFinite(query.snr_db) ? decibel(query.snr_db) : "direct"),
      h("span", { class: "where muted" }, `${query.edge_id || "edge"} · ${query.link || "–"} · ${query.scheme}`),
      h("span", { class: "took muted" }, milliseconds(spent(query))),
      h("span", { class: "when muted" }, clock(query.time)),
      truth(query),
    ),
  );
  item.addEventListener("toggle", () => {
    if (item.open && item.children.length === 1) item.append(h("div", { class: "opened" }, ranking(query), details(query)));
  });
  return h("li", { data: { outcome: outcome(query) } }, item);
}

/** The newest query, large: what an operator must see from two metres away. */
export function latest(query) {
  const kind = outcome(query);
  return [
    h("div", { class: "latest-top" }, badge(query), h("span", { class: "muted" }, clock(query.time)), truth(query)),
    h("p", { class: "latest-who" }, who(query)),
    h("p", { class: "muted small" }, MEANING[kind]),
    best(query) === undefined ? null : h("div", { class: "latest-score" },
      meter(best(query), query.threshold),
      h("span", {}, h("strong", {}, score(best(query))), query.threshold > 0 ? ` of ${score(query.threshold)} needed` : " cosine, no threshold"),
    ),
    h("dl", { class: "latest-facts" },
      [["SNR", Number.isFinite(query.snr_db) ? decibel(query.snr_db) : "direct"],
       ["Camera", query.edge_id || "–"],
       ["Link", `${query.link}${query.model ? `, ${query.model}` : ""}`],
       ["Answered in", milliseconds(spent(query))],
      ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    ),
  ];
}
