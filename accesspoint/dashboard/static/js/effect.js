// Effect of the radio on the queries of this moment: the last answers as a strip of marks.

import { mark } from "./charts.js";
import { WORDS } from "./decision.js";
import { h, replace } from "./dom.js";
import { decibel, percent, score } from "./format.js";
import { outcome, right } from "./tally.js";

const LAST = 30;

export function effectCard() {
  const strip = h("ol", { class: "strip" });
  const words = h("p", {}, "No query yet.");
  const element = h("section", { class: "card", "aria-label": "What comes of it" },
    h("h2", {}, `What comes of it: the last ${LAST} queries, newest first`), strip, words);
  const last = [];

  function text(query) {
    const correct = right(query);
    const verdict = correct === null ? "" : correct ? ", right" : ", wrong";
    return `${WORDS[outcome(query)]}${verdict} at ${decibel(query.snr_db)}, ${score(query.identities?.[0]?.score)}`;
  }

  function draw() {
    replace(strip, last.map((query) =>
      h("li", { class: right(query) === false ? "wrong" : "", title: text(query) }, mark(outcome(query)), h("span", { class: "visually-hidden" }, text(query)))));
    if (!last.length) return;
    const known = last.map(right).filter((verdict) => verdict !== null);
    const lost = last.filter((query) => outcome(query) === "outage").length;
    replace(words,
      known.length ? [h("strong", {}, percent(known.filter(Boolean).length, known.length)), ` right at first rank (${known.length} say whom they show), `] : "",
      h("strong", {}, percent(lost, last.length)), " lost, the last one received at ",
      h("strong", {}, Number.isFinite(last[0].snr_db) ? decibel(last[0].snr_db) : "no radio"), ".");
  }

  return {
    element,
    draw,
    add(query) {
      last.unshift(query);
      if (last.length > LAST) last.pop();
    },
  };
}
