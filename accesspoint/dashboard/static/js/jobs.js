// Jobs: what runs, how far it is, what came of it.

import { call, path } from "./api.js";
import { h, replace } from "./dom.js";
import { clock, count } from "./format.js";
import { attempt, notice } from "./notice.js";

const OVER = ["done", "failed", "cancelled"];
const KIND = { done: "good", failed: "bad", cancelled: "warn" };

/** Starts a job. */
export function start(kind, parameters = {}) {
  return call("/v1/jobs", { method: "POST", json: { kind, parameters } });
}

/** A job's result in words: flat JSON as names and values, else the text. */
function result(job) {
  if (!job.result) return null;
  let value = job.result;
  try {
    if (typeof value === "string") value = JSON.parse(value);
  } catch {
    return h("p", { class: "small" }, job.result);
  }
  if (value === null || typeof value !== "object") return h("p", { class: "small" }, String(value));
  const flat = Object.entries(value).filter(([, field]) => field === null || typeof field !== "object");
  const deep = Object.keys(value).length > flat.length;
  return [
    h("p", { class: "small muted" }, flat.map(([name, field]) => `${name.replaceAll("_", " ")}: ${typeof field === "number" ? count(Math.round(field * 1e4) / 1e4) : field}`).join(", ")),
    deep ? h("details", { class: "small" }, h("summary", {}, "All of it"), h("pre", {}, JSON.stringify(value, null, 1))) : null,
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

export function jobsCard({ finished }) {
  const list = h("ul", { class: "jobs" });
  const element = h("section", { class: "card", "aria-label": "Jobs" }, h("h2", {}, "Jobs"), list);
  let before = new Map();

  async function refresh() {
    try {
      const { jobs } = await call("/v1/jobs", { quiet: true });
      const open = list.querySelector("details[open]");
      if (!open) {
        replace(list, jobs.length ? jobs.slice(0, 10).map((job) => item(job, refresh)) : h("li", { class: "muted" }, "None has been started."));
      }
      for (const job of jobs) {
        if (before.has(job.id) && before.get(job.id) !== job.state && OVER.includes(job.state)) {
          notice(`Job ${job.kind}: ${job.state}`, job.state === "failed" ? "bad" : "good");
          finished(job);
        }
      }
      before = new Map(jobs.map((job) => [job.id, job.state]));
      if (jobs.some((job) => !OVER.includes(job.state)) && element.offsetParent) setTimeout(refresh, 1000);
    } catch (error) {
      replace(list, h("li", { class: "muted" }, error.status === 404 ? "This access point has no jobs." : error.message));
    }
  }

  return { element, refresh };
}
