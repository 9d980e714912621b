// When is it a match: the thresholds in force, and a new calibration.

import { call } from "./api.js";
import { field, h, replace } from "./dom.js";
import { decibel, score } from "./format.js";
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

export function policyCard({ started }) {
  const now = h("div", {});
  const rate = h("input", { type: "number", min: 0.001, max: 50, step: "any", value: 1, required: true, inputmode: "decimal" });
  const form = h("form", {},
    field("False matches to allow, % of queries by strangers", rate, "Measured on the enrolled entries over the channel's SNR range. Fewer false matches mean more people who are not recognised."),
    h("button", { type: "submit" }, "Calibrate"));
  const element = h("section", { class: "card", "aria-label": "When is it a match?" }, h("h2", {}, "When is it a match?"), now, form);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      await start("calibrate", { false_match_rate: String(Number(rate.value) / 100) });
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
        h("p", {}, "At most ", h("strong", {}, `${+(100 * policy.false_match_rate).toPrecision(3)} %`), " of queries by strangers are to match."),
        schemes.map(([name, scheme]) => h("details", {}, h("summary", {}, name), table(scheme.points ?? []))));
    } catch (error) {
      replace(now, h("p", { class: "muted" }, error.status === 404 ? "This access point has no thresholds." : error.message));
    }
  }
  return { element, refresh };
}
