// Jobs: what runs, how far it is, what came of it.

import { call, path } from "./api.js";
import { h, replace } from "./dom.js";
import { clock, count } from "./format.js";
import { allOf, plainText } from "./json.js";
import { attempt, notice } from "./notice.js";

const SHOWN = 10;
const OVER = ["done", "failed", "cancelled"];
const KIND = { done: "good", failed: "bad", cancelled: "warn" };

/** Starts a job. */
export function start(kind, parameters = {}) {
  return call("/v1/jobs", { method: "POST", json: { kind, parameters } });
}

/** A job's result: its plain fields in a line, all of it folded; a text as it is. */
function result(job) {
  if (!job.result) return null;
  let value;
  try {
    value = JSON.parse(job.result);
  } catch {
    return h("p", { class: "small" }, job.result);
  }
  if (value === null || typeof value !== "object") return h("p", { class: "small" }, plainText(value));
  const flat = Object.entries(value).filter(([, field]) => field === null || typeof field !== "object");
  return [
    h("p", { class: "small muted" }, flat.filter(([, field]) => field !== "").map(([name, field]) => `${name.replaceAll("_", " ")}: ${plainText(field)}`).join(", ")),
    Object.keys(value).length > flat.length ? h("div", { class: "small" }, allOf(value, JSON.stringify(value, null, 1))) : null,
  ];
}

function item(job, changed) {
  const running = !OVER.includes(job.state);
  const cancel = h("button", { type: "button", class: "quiet small", "aria-label": `Cancel ${job.kind}` }, "Cancel");
  cancel.addEventListener("click", () => attempt(async () => {
    await call(`${path("/v1/jobs", job.id)}/cancel`, { method: "POST" });
    changed();
  }));
  const bar = h("progress", { "aria-label": `Progress of ${job.kind}`, max: 1, ...(job.total ? { value: job.done / job.total } : {}) });
  return h("li", {},
    h("div", { class: "row" },
      h("strong", { class: "grow" }, job.kind.replaceAll("_", " ")),
      h("span", { class: `state-word ${KIND[job.state] ?? ""}` }, job.state),
      h("span", { class: "muted small" }, clock(job.finished_at ?? job.created_at)),
      running ? cancel : null),
    running ? bar : null,
    running && job.total ? h("span", { class: "small muted" }, `${count(job.done)} of ${count(job.total)}`) : null,
    result(job));
}

export function jobsCard({ finished, looked }) {
  const list = h("ul", { class: "jobs" });
  const element = h("section", { class: "card", "aria-label": "Jobs" }, h("h2", {}, "Jobs"), list);
  let before = new Map();
  let items = new Map();

  /** The job's element; the one that is there while nothing has changed, as somebody may read it. */
  function shown(job) {
    const version = `${job.state} ${job.done} ${job.total}`;
    const old = items.get(job.id);
    return old?.version === version ? old : { version, element: item(job, refresh) };
  }

  function draw(jobs) {
    items = new Map(jobs.slice(0, SHOWN).map((job) => [job.id, shown(job)]));
    const elements = [...items.values()].map((entry) => entry.element);
    if (!elements.length) elements.push(h("li", { class: "muted" }, "None has been started."));
    for (const [i, element] of elements.entries()) {
      const old = list.children[i];
      if (old === element) continue;
      const focused = old?.contains(document.activeElement);
      if (old) old.replaceWith(element);
      else list.append(element);
      if (focused) element.querySelector("button")?.focus();
    }
    while (list.children.length > elements.length) list.lastChild.remove();
  }

  async function refresh() {
    try {
      const { jobs } = await call("/v1/jobs", { quiet: true });
      draw(jobs);
      const running = jobs.filter((job) => !OVER.includes(job.state)).map((job) => job.kind);
      for (const job of jobs) {
        if (before.has(job.id) && before.get(job.id) !== job.state && OVER.includes(job.state)) {
          notice(`Job ${job.kind}: ${job.state}`, job.state === "failed" ? "bad" : "good");
          finished(job);
        }
      }
      before = new Map(jobs.map((job) => [job.id, job.state]));
      looked(running.join());
      if (running.length && element.offsetParent) setTimeout(refresh, 1000);
    } catch (error) {
      items.clear();
      replace(list, h("li", { class: "muted" }, error.status === 404 ? "This access point has no jobs." : error.message));
    }
  }

  return { element, refresh };
}
