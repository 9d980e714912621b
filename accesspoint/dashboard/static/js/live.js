// The live view: the newest query large, the sums, the charts, and the list.

import { Cameras } from "./cameras.js";
import { accuracyChart, mark, scoreChart } from "./charts.js";
import { who, WORDS } from "./decision.js";
import { h, replace, visible } from "./dom.js";
import { follow } from "./events.js";
import { count, decibel, milliseconds, percent, plural } from "./format.js";
import { latest, row } from "./queryrow.js";
import { outcome, Tally } from "./tally.js";

const ROWS = 100;
const KEPT = 500;
const REMEMBERED = 2000;
const SPEAK_EVERY = 5000;

function tile(name, hint) {
  const value = h("dd", {}, "–");
  return { value, element: h("div", { class: "tile", title: hint }, h("dt", {}, name), value) };
}

/** Shows the rest of a list of which a narrow screen has the first rows only. */
function moreButton(box, what) {
  box.classList.add("folded");
  const button = h("button", { type: "button", class: "quiet small unfold", "aria-expanded": "false" }, `All ${what}`);
  button.addEventListener("click", () => {
    const folded = box.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(!folded));
    button.textContent = folded ? `All ${what}` : `Fewer ${what}`;
  });
  return button;
}

function layout(section) {
  const pause = h("button", { type: "button", class: "quiet small", "aria-pressed": "false" }, "Pause");
  const clear = h("button", { type: "button", class: "quiet small" }, "Start afresh");
  const only = h("select", { "aria-label": "Show" },
    h("option", { value: "" }, "All outcomes"),
    Object.entries(WORDS).map(([kind, word]) => h("option", { value: kind }, word)));
  const tiles = {
    queries: tile("Queries", "Answered since the access point started, or since Start afresh"),
    matched: tile("Matched", "Decided as a match, of all queries"),
    accuracy: tile("Rank-1 right", "Of the queries that say whom they show; a lost block is not right"),
    lost: tile("Lost", "Blocks that the radio lost"),
    snr: tile("Typical SNR", "Median of the last 200 queries"),
    saved: tile("Uses saved", "Channel uses that were not needed, of blocks that come in pieces"),
    took: tile("Typical time", "In the access point: median of the last 200 queries"),
  };
  const boxes = {
    latest: h("div", { class: "latest-body" }, h("p", { class: "empty" }, "No query yet.")),
    list: h("ol", { class: "queries" }),
    empty: h("div", { class: "empty" },
      h("p", {}, "Queries appear here as cameras send them."),
      h("p", { class: "small" }, "Try it: ", h("code", {}, "airreid edge send FOLDER --to HOST:PORT"))),
    cameras: h("div", {}),
    accuracy: h("div", { class: "plot" }),
    score: h("div", { class: "plot" }),
    waiting: h("span", { class: "muted small", role: "status" }),
  };
  section.append(
    h("div", { class: "live" },
      h("section", { class: "card latest", "aria-label": "Latest query" }, boxes.latest),
      h("dl", { class: "tiles" }, Object.values(tiles).map((tile) => tile.element)),
      h("section", { class: "card list-card", "aria-label": "Queries, newest first" },
        h("div", { class: "card-head" }, h("h2", {}, "Newest first ", boxes.waiting),
          h("div", { class: "row tools" }, only, pause, clear)),
        boxes.empty, boxes.list, moreButton(boxes.list, "queries")),
      h("div", { class: "aside" },
        h("section", { class: "card", "aria-label": "Cameras" },
          h("h2", {}, "Cameras"), boxes.cameras, moreButton(boxes.cameras, "cameras")),
        h("section", { class: "card", "aria-label": "Charts" },
          h("h2", {}, "Right at first rank, by SNR"), boxes.accuracy,
          h("h2", {}, "Best score (cosine) against SNR"), boxes.score,
          h("ul", { class: "legend" }, Object.entries(WORDS).map(([kind, word]) => h("li", {}, mark(kind), word)),
            h("li", {}, h("span", { class: "dash", "aria-hidden": "true" }), "Threshold")))),
    ),
  );
  return { tiles, boxes, pause, clear, only };
}

/** Starts the view; `state` hears of the feed: ("live" | "cut", why). */
export function startLive(section, { state, seen }) {
  const { tiles, boxes, pause, clear, only } = layout(section);
  let tally = new Tally();
  let cameras = new Cameras();
  let known = new Set();
  let fresh = []; // not on the page yet
  let shown = []; // on the page, before the filter
  let paused = false;
  let afresh = false; // sums of this page, not of the access point
  let due = false;
  let spokenAt = 0;
  let unspoken = 0;

  function sums() {
    tiles.queries.value.textContent = count(tally.queries);
    const { match, ambiguous, unknown } = tally.outcomes;
    const decided = match + ambiguous + unknown > 0;
    tiles.matched.value.textContent = decided || !tally.queries ? percent(match, tally.queries) : "not set";
    tiles.accuracy.value.textContent = tally.known ? percent(tally.right, tally.known) : "not known";
    tiles.lost.value.textContent = percent(tally.outcomes.outage, tally.queries);
    tiles.snr.value.textContent = decibel(tally.medianSnr());
    const { blocks, heard, whole } = tally.pieces;
    tiles.saved.element.hidden = !blocks;
    tiles.saved.value.textContent = percent(whole - heard, whole);
    tiles.saved.value.title = `${count(whole - heard)} of ${count(whole)} channel uses`;
    tiles.took.value.textContent = milliseconds(tally.medianSpent());
  }

  function charts() {
    if (section.hidden) return;
    const buckets = tally.bySnr();
    if (buckets.length) accuracyChart(boxes.accuracy, buckets);
    else replace(boxes.accuracy, h("p", { class: "empty small" }, "No query with a radio link has said whom it shows. For measurements: ", h("code", {}, "edge send --truth")));
    if (tally.latest.some((query) => Number.isFinite(query.snr_db))) scoreChart(boxes.score, tally.latest);
    else replace(boxes.score, h("p", { class: "empty small" }, "No query has come over a radio link yet."));
  }

  function speak(query) {
    const now = Date.now();
    if (section.hidden || now - spokenAt < SPEAK_EVERY) return;
    spokenAt = now;
    const text = `${plural(unspoken, "new query", "new queries")}. Last: ${WORDS[outcome(query)]}, ${who(query)}.`;
    unspoken = 0;
    document.getElementById("spoken").textContent = visible(text);
  }

  const wanted = (query) => !only.value || outcome(query) === only.value;

  function rows() {
    boxes.list.prepend(...fresh.filter(wanted).slice(-ROWS).reverse().map(row));
    while (boxes.list.children.length > ROWS) boxes.list.lastChild.remove();
    if (fresh.length) replace(boxes.latest, latest(fresh.at(-1)));
    shown = [...shown, ...fresh].slice(-KEPT);
    fresh = [];
    boxes.empty.hidden = shown.length > 0;
  }

  function draw() {
    due = false;
    sums();
    charts();
    cameras.draw(boxes.cameras);
    if (paused) boxes.waiting.textContent = fresh.length ? `${plural(fresh.length, "query", "queries")} waiting` : "paused";
    else rows();
  }

  function later() {
    if (due) return;
    due = true;
    setTimeout(draw, 120);
  }

  function take(query) {
    if (query.type === "tally" && !afresh) {
      tally.take(query);
      cameras.take(query.cameras);
      later();
    }
    if (query.type !== "query") return;
    const key = `${query.time}|${query.edge_id}|${query.sequence}`;
    if (known.has(key)) return;
    known.add(key);
    if (known.size > REMEMBERED) known = new Set([...known].slice(-REMEMBERED / 2));
    tally.add(query);
    cameras.add(query);
    fresh.push(query);
    if (fresh.length > KEPT) fresh.shift();
    unspoken += 1;
    speak(query);
    seen(query);
    later();
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    boxes.waiting.textContent = paused ? "paused" : "";
    later();
  });
  clear.addEventListener("click", () => {
    afresh = true;
    tally = new Tally();
    cameras = new Cameras();
    fresh = [];
    shown = [];
    boxes.list.replaceChildren();
    replace(boxes.latest, h("p", { class: "empty" }, "No query yet."));
    later();
  });
  only.addEventListener("change", () => {
    replace(boxes.list, shown.filter(wanted).slice(-ROWS).reverse().map(row));
  });
  setInterval(() => section.hidden || cameras.draw(boxes.cameras), 5000);
  new ResizeObserver(() => later()).observe(section);
  follow({ event: take, state });
  draw();
  return { shown: later };
}
