// One answered query: a line that opens to its ranked results, and the large card.

import { MEANING, badge, decided, nearest, pictured, subjectLink, truth, unranked, whoElement } from "./decision.js";
import { h } from "./dom.js";
import { clock, count, decibel, milliseconds, score } from "./format.js";
import { picture } from "./pictures.js";
import { outcome, spent } from "./tally.js";

const RANKED_MAX = 10;

const best = (query) => query.identities?.[0]?.score;

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

/** The ranked subjects {subject, score, camera, entry_id}; `pictures`: with those that are kept. */
export function ranking(identities, { threshold = 0, expected = "", pictures = false } = {}) {
  return h("ol", { class: "ranking" },
    identities.slice(0, RANKED_MAX).map((identity) =>
      h("li", { class: expected && identity.subject === expected ? "is-truth" : "" },
        h("span", { class: "name" }, subjectLink(identity.subject)),
        meter(identity.score, threshold),
        h("span", { class: "value" }, score(identity.score)),
        h("span", { class: "muted small camera" }, identity.camera),
        pictures ? picture(identity, "") : null,
      ),
    ),
  );
}

function ranked(query) {
  const kind = outcome(query);
  if (kind === "outage" || kind === "refused") return h("p", { class: "muted" }, MEANING[kind]);
  if (!query.identities?.length) return h("p", { class: "muted" }, "The gallery has nobody to compare with.");
  return ranking(query.identities, { threshold: query.threshold, expected: query.truth, pictures: true });
}

/** Channel uses that were heard of a block in pieces, of all there are; empty of any other. */
const usesText = (query) => (query.uses && query.bandwidth ? `${count(query.uses)} of ${count(query.bandwidth)}` : "");

function details(query) {
  const facts = [
    ["Edge", query.edge_id || "–"],
    ["Frame", query.sequence],
    query.track_id ? ["Track", query.track_id] : null,
    query.fused_frames > 1 ? ["Frames fused", query.fused_frames] : null,
    ["Scheme", query.scheme],
    ["Link", query.link],
    ["Channel", query.model || "direct"],
    usesText(query) ? ["Channel uses", usesText(query)] : null,
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
      badge(outcome(query)),
      whoElement(query),
      h("span", { class: "value" }, best(query) === undefined ? "" : score(best(query))),
      h("span", { class: "snr" }, Number.isFinite(query.snr_db) ? decibel(query.snr_db) : "direct"),
      h("span", { class: "where muted" }, `${query.edge_id || "edge"} · ${query.link || "–"} · ${query.scheme}`),
      usesText(query) ? h("span", { class: "uses muted" }, `${usesText(query)} uses`) : null,
      h("span", { class: "took muted" }, milliseconds(spent(query))),
      h("span", { class: "when muted" }, clock(query.time)),
      truth(query),
    ),
  );
  item.addEventListener("toggle", () => {
    if (item.open && item.children.length === 1) item.append(h("div", { class: "opened" }, ranked(query), details(query)));
  });
  return h("li", { data: { outcome: outcome(query) } }, item);
}

/** The best score, and what it is measured with. */
export function scoreLine(query) {
  if (best(query) === undefined) return null;
  return h("div", { class: "latest-score" },
    meter(best(query), query.threshold),
    h("span", {}, h("strong", {}, score(best(query))), needed(query)));
}

/** What a match would have needed; of one above the threshold in question, a larger lead. */
function needed(query) {
  if (!(query.threshold > 0)) return " cosine, no threshold";
  const second = query.identities[1]?.score;
  const close = outcome(query) === "ambiguous" && best(query) >= query.threshold && second !== undefined;
  const lead = close ? `; its lead over the second, ${score(best(query) - second)}, is too small` : "";
  return ` of ${score(query.threshold)} needed${lead}`;
}

/** The name beside a large decision: whom it is for, or in grey who is nearest. */
export function headline(query) {
  const subject = decided(query);
  if (subject) return h("p", { class: "latest-who clamp" }, subjectLink(subject), outcome(query) === "ambiguous" ? "?" : "");
  const reason = unranked(query);
  if (reason) return h("p", { class: "latest-who" }, reason);
  return h("p", { class: "latest-nearest clamp" }, "nearest: ", subjectLink(nearest(query)));
}

/** The newest query, large: what an operator must see from two metres away. */
export function latest(query) {
  const kind = outcome(query);
  const shown = pictured(query);
  const captions = { match: "enrolled", ambiguous: "in question", unspecified: "nearest" };
  return [
    h("div", { class: "latest-head" },
      h("div", {},
        h("div", { class: "latest-top" }, badge(kind), h("span", { class: "muted" }, clock(query.time)), truth(query)),
        headline(query),
        h("p", { class: "muted small" }, MEANING[kind])),
      shown ? picture(shown, captions[kind]) : null),
    scoreLine(query),
    h("dl", { class: "latest-facts" },
      [["SNR", Number.isFinite(query.snr_db) ? decibel(query.snr_db) : "direct"],
       ["Camera", query.edge_id || "–"],
       ["Link", `${query.link}${query.model ? `, ${query.model}` : ""}`],
       ["Answered in", milliseconds(spent(query))],
       usesText(query) ? ["Channel uses", usesText(query)] : null,
      ].filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { class: "clamp", title: value }, value))),
    ),
  ];
}
