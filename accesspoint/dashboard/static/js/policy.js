// Match policy: the thresholds in force, and a new calibration.

import { call } from "./api.js";
import { field, h, replace, visible } from "./dom.js";
import { count, decibel, score } from "./format.js";
import { start } from "./jobs.js";
import { attempt, notice } from "./notice.js";

const parsed = (value) => (typeof value === "string" ? (value ? JSON.parse(value) : null) : value);

function table(points) {
  const heads = ["SNR", "Unknown below", "Match from"];
  return h("table", {},
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, points.map((point) => h("tr", {},
      [decibel(point.snr_db), score(point.lower), score(point.threshold)].map((text) => h("td", { class: "number" }, text))))));
}

/** The thresholds of one scheme at a time. */
function thresholds(schemes) {
  const pick = h("select", {}, Object.keys(schemes).map((name) => h("option", { value: name }, name)));
  const box = h("div", {});
  const show = () => replace(box, table(schemes[pick.value].points ?? []));
  pick.addEventListener("change", show);
  show();
  return h("details", { class: "field" }, h("summary", {}, "Thresholds by SNR"), field("Scheme", pick), box);
}

export function policyCard({ started }) {
  const now = h("div", {});
  const rate = h("input", { type: "number", min: 0.001, max: 50, step: "any", value: 1, required: true, inputmode: "decimal" });
  const needs = h("p", { class: "hint", id: "calibrate-needs", role: "status" });
  const button = h("button", { type: "submit", disabled: true, "aria-describedby": needs.id }, "Calibrate");
  const form = h("form", {},
    field("False matches to allow, % of queries by people who are not enrolled", rate, "Measured on the enrolled entries over the channel's SNR range. Fewer false matches mean more people who are not recognised."),
    h("div", { class: "row" }, button),
    needs);
  const element = h("section", { class: "card", "aria-label": "When is it a match?" }, h("h2", {}, "When is it a match?"), now, form);

  let turn = 0;
  let typing = 0;
  let known = "";

  const parameters = () => ({ false_match_rate: String(Number(rate.value) / 100) });

  function tell(text, refused) {
    needs.textContent = visible(text);
    needs.classList.toggle("short", refused);
    button.disabled = refused;
  }

  /** Asks the access point, by whose rules it goes, whether it must fail. */
  async function ask() {
    turn += 1;
    const mine = turn;
    try {
      const outlook = await call("/v1/calibration", { query: parameters(), quiet: true });
      if (mine !== turn) return;
      const takes = `To vouch for ${rate.value} % takes ${count(outlook.subjects_needed)} subjects; ${count(outlook.subjects)} are enrolled.`;
      if (outlook.refusal) tell(`Cannot be done now: ${outlook.refusal}.`, true);
      else tell(outlook.caution ? `${takes} Note: ${outlook.caution}.` : takes, false);
    } catch {
      if (mine === turn) tell("", false); // the access point says what is wrong when it is asked to start
    }
  }

  rate.addEventListener("input", () => {
    button.disabled = true;
    clearTimeout(typing);
    typing = setTimeout(ask, 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await start("calibrate", parameters());
      notice("Calibration started");
      started();
    });
  });

  async function refresh() {
    try {
      const answer = await call("/v1/policy", { quiet: true });
      const policy = parsed(answer.match_policy);
      const schemes = Object.entries(policy?.schemes ?? {});
      if (!schemes.length) {
        replace(now, h("p", { class: "note warn" }, "No thresholds yet: answers are ranked and nobody is decided for. Calibrate once people are enrolled."));
        return;
      }
      replace(now,
        h("p", {}, "At most ", h("strong", {}, `${+(100 * policy.false_match_rate).toPrecision(3)} %`), " of queries by people who are not enrolled are to match."),
        thresholds(Object.fromEntries(schemes)));
    } catch (error) {
      replace(now, h("p", { class: "muted" }, error.status === 404 ? "This access point has no thresholds." : error.message));
    }
  }
  return {
    element,
    refresh,
    /** Takes what the answer depends on, as text; asks again when it has changed. */
    depends(text) {
      if (text === known) return;
      known = text;
      ask();
    },
  };
}
