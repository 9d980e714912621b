// Health: readiness, what is served, thresholds, jobs.

import { call, send } from "./api.js";
import { h, replace } from "./dom.js";
import { count } from "./format.js";
import { jobsCard } from "./jobs.js";
import { policyCard } from "./policy.js";

const EVERY = 5000;

function facts(state, ready) {
  const word = h("span", { class: `state-word ${ready.ok ? "good" : "bad"}` }, ready.ok ? "Ready" : `Not ready: ${ready.why}`);
  const known = [
    ["State", word],
    ["Subjects", count(state.subjects)],
    ["Entries", count(state.entries)],
    state.other_space_entries ? ["Other feature space", `${count(state.other_space_entries)} entries, not searched until a reindex`] : null,
    state.index ? ["Index", typeof state.index === "string" ? state.index : JSON.stringify(state.index)] : null,
    ["Bundle", [state.bundle_name, " ", h("span", { class: "mono muted" }, String(state.bundle_id).slice(0, 16))]],
    ["Feature space", h("span", { class: "mono" }, state.space_id)],
    ["Schemes", state.schemes?.join(", ")],
  ];
  return known.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
}

/** Watches health for the whole page; `told({ok, why, state})` at every look. */
export function startHealth(section, told) {
  const pairs = h("dl", { class: "pairs" });
  const policy = policyCard({ started: () => jobs.refresh() });
  const jobs = jobsCard({
    finished: () => policy.refresh(),
    looked: (running) => {
      working = running;
      depend();
    },
  });
  section.append(h("div", { class: "health" },
    h("div", { class: "stack" },
      h("section", { class: "card", "aria-label": "What is served" }, h("h2", {}, "What is served"), pairs),
      jobs.element),
    policy.element));

  let reached = true;
  let working = "";
  let counts = "";

  /** What decides whether a calibration can be started. */
  function depend() {
    if (counts && !section.hidden) policy.depends(`${counts} ${working}`);
  }

  async function readiness() {
    try {
      await send("/v2/health/ready", { quiet: true });
      return { ok: true, why: "" };
    } catch (error) {
      return { ok: false, why: error.message, reached: error.status > 0 };
    }
  }

  async function look() {
    const ready = await readiness();
    try {
      const state = await call("/v1/state", { quiet: true });
      if (!section.hidden) replace(pairs, facts(state, ready));
      counts = `${state.subjects} ${state.entries}`;
      depend();
      told({ ...ready, state });
      if (!reached) dispatchEvent(new CustomEvent("airreid-back"));
      reached = true;
    } catch (error) {
      if (!section.hidden) replace(pairs, h("dt", {}, "State"), h("dd", { class: "state-word bad" }, error.message));
      reached = false;
      told({ ok: false, why: error.message, reached: error.status > 0, token: error.status === 401 });
    }
  }

  setInterval(() => {
    if (document.hidden) return;
    look();
    if (!section.hidden) jobs.refresh();
  }, EVERY);
  addEventListener("airreid-token", look);
  look();
  return {
    shown: () => {
      look();
      jobs.refresh();
      policy.refresh();
    },
  };
}

