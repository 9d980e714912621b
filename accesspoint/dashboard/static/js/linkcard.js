// One link's controls: SNR by slider or number, model, and the model's own settings.

import { field, h, replace, visible } from "./dom.js";
import { count, decibel, percent } from "./format.js";

const SLIDER = { min: -20, max: 30, step: 0.5 };

/** Whether a link has a parameter among its fields, or in the parameters of an extension. */
const isField = (settings, parameter) => parameter.name in settings;

const valueOf = (settings, parameter) =>
  isField(settings, parameter) ? settings[parameter.name] : settings.parameters[parameter.name];

/** One link's controls; `change(fields)` sends them. Keeps what is being typed. `models` are
 * those of the channel: name, label and parameters of each. */
export function linkCard(name, models, change, reset) {
  const range = h("input", { type: "range", ...SLIDER });
  const exact = h("input", { type: "number", min: -40, max: 60, step: 0.1, inputmode: "decimal" });
  const model = h("select", {}, models.map(({ name: id, label }) => h("option", { value: id }, label)));
  const said = h("output", { class: "snr-said" });
  const stats = h("p", { class: "muted small" });
  const ownBox = h("div", { class: "own" });
  const what = name ? `link ${name}` : "all links";
  range.setAttribute("aria-label", visible(`SNR of ${what}, dB`));
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

  function ownControl(parameter, inFields) {
    const { name: key, label, low, high, choices } = parameter;
    const number = low != null || high != null;
    const input = choices.length
      ? h("select", {}, choices.map((choice) => h("option", { value: choice }, choice)))
      : number
        ? h("input", { type: "number", min: low ?? "", max: high ?? "", step: "any" })
        : h("input", { type: "checkbox" });
    input.addEventListener("change", () => {
      if (!input.reportValidity() || (number && input.value === "")) return;
      const value = input.type === "checkbox" ? input.checked : number ? Number(input.value) : input.value;
      send(inFields ? { [key]: value } : { parameters: { [key]: value } });
    });
    controls.set(key, input);
    return input.type === "checkbox"
      ? h("label", { class: "check" }, input, " ", label)
      : field(label, input);
  }

  function show(settings, sums) {
    const busy = Date.now() - asked < 1200;
    const parameters = models.find(({ name: id }) => id === settings.model)?.parameters ?? [];
    if (ownFor !== settings.model) {
      ownFor = settings.model;
      controls.clear();
      replace(ownBox, parameters.map((parameter) => ownControl(parameter, isField(settings, parameter))));
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
        said.textContent = visible(`trace ${settings.snr_trace}`);
      }
      for (const parameter of parameters) {
        const input = controls.get(parameter.name);
        const value = valueOf(settings, parameter);
        if (input === editing) continue;
        if (input.type === "checkbox") input.checked = value;
        else input.value = typeof value === "number" ? Math.round(value * 1e6) / 1e6 : value;
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
    ownBox, stats);
  return { element, show };
}
