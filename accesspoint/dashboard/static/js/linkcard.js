// One link's controls: SNR by slider or number, model, and what the model has.

import { field, h, replace } from "./dom.js";
import { count, decibel, percent } from "./format.js";

const MODELS = {
  awgn: "AWGN: white noise",
  rayleigh: "Rayleigh: fading, no line of sight",
  rician: "Rician: fading, line of sight",
  impulsive: "Impulsive: bursts of noise",
  erasure: "Erasure: lost channel uses",
};
const OWN = {
  csi: { label: "Receiver knows the gain", type: "checkbox" },
  doppler: { label: "Doppler × block time", min: 0, max: 10, step: 0.001 },
  k_factor_db: { label: "K factor, dB", min: -40, max: 40, step: 0.5 },
  impulse_probability: { label: "Probability of an impulse", min: 0, max: 1, step: 0.001 },
  impulse_ratio_db: { label: "Impulse over noise, dB", min: 0, max: 40, step: 0.5 },
  erasure_probability: { label: "Probability of an erasure", min: 0, max: 1, step: 0.01 },
};
const SLIDER = { min: -20, max: 30, step: 0.5 };

/** One link's controls; `change(fields)` sends them. Keeps what is being typed. */
export function linkCard(name, change, reset) {
  const range = h("input", { type: "range", ...SLIDER });
  const exact = h("input", { type: "number", min: -40, max: 60, step: 0.1, inputmode: "decimal" });
  const model = h("select", {}, Object.entries(MODELS).map(([id, words]) => h("option", { value: id }, words)));
  const said = h("output", { class: "snr-said" });
  const stats = h("p", { class: "muted small" });
  const own = h("div", { class: "own" });
  const what = name ? `link ${name}` : "all links";
  range.setAttribute("aria-label", `SNR of ${what}, dB`);
  let asked = 0;
  let timer = 0;
  let ownFor = "";
  const controls = new Map();

  function send(fields) {
    asked = Date.now();
    clearTimeout(timer);
    timer = setTimeout(() => change(fields), 150);
  }

  const speak = (value) => {
    said.textContent = decibel(Number(value));
    range.setAttribute("aria-valuetext", decibel(Number(value)));
  };
  range.addEventListener("input", () => {
    exact.value = range.value;
    speak(range.value);
    send({ snr_db: Number(range.value) });
  });
  exact.addEventListener("change", () => {
    if (exact.value === "" || !exact.checkValidity()) {
      exact.reportValidity();
      return;
    }
    range.value = exact.value;
    speak(exact.value);
    send({ snr_db: Number(exact.value) });
  });
  model.addEventListener("change", () => send({ model: model.value }));

  function ownControl(key) {
    const { label, type = "number", ...bounds } = OWN[key];
    const input = h("input", { type, ...bounds });
    input.addEventListener("change", () => {
      if (!input.reportValidity() || (type === "number" && input.value === "")) return;
      send({ [key]: type === "checkbox" ? input.checked : Number(input.value) });
    });
    controls.set(key, input);
    return type === "checkbox"
      ? h("label", { class: "check" }, input, " ", label)
      : field(label, input);
  }

  function show(settings, sums) {
    const busy = Date.now() - asked < 1200;
    const keys = Object.keys(OWN).filter((key) => settings[key] != null);
    if (ownFor !== settings.model) {
      ownFor = settings.model;
      controls.clear();
      replace(own, keys.map(ownControl));
    }
    if (!busy) {
      const editing = document.activeElement;
      model.value = settings.model;
      if (settings.snr_db != null && editing !== exact) {
        range.value = settings.snr_db;
        exact.value = Math.round(settings.snr_db * 100) / 100;
        speak(settings.snr_db);
      } else if (settings.snr_range_db) {
        said.textContent = `${decibel(settings.snr_range_db[0])} to ${decibel(settings.snr_range_db[1])}`;
      } else if (settings.snr_trace) {
        said.textContent = `trace ${settings.snr_trace}`;
      }
      for (const key of keys) {
        const input = controls.get(key);
        if (input === editing) continue;
        if (input.type === "checkbox") input.checked = settings[key];
        else input.value = Math.round(settings[key] * 1e6) / 1e6;
      }
    }
    stats.textContent = sums
      ? `${count(sums.blocks)} blocks, last at ${decibel(sums.last_snr_db)}, measured ${decibel(sums.measured_snr_db)}` +
        (sums.packets ? `, ${percent(sums.lost, sums.packets)} of ${count(sums.packets)} packets lost` : "")
      : "";
  }

  const back = h("button", { type: "button", class: "quiet small" }, name ? "Follow the default again" : "As it was started");
  back.addEventListener("click", () => {
    asked = 0;
    clearTimeout(timer);
    reset();
  });
  const element = h("section", { class: "card link-card", "aria-label": name || "Default link" },
    h("div", { class: "card-head" }, h("h2", {}, name || "All links without settings of their own"), back),
    h("div", { class: "snr-line" }, range, said),
    h("div", { class: "scale", "aria-hidden": "true" }, ["−20", "−10", "0", "10", "20", "30"].map((text) => h("span", {}, text))),
    h("div", { class: "row" },
      h("div", { class: "grow" }, field("SNR, dB per channel use", exact)),
      h("div", { class: "grow" }, field("Model", model))),
    own, stats);
  return { element, show };
}
