// Enrolment from image files: chosen, or dropped on the form. One after the other.

import { call } from "./api.js";
import { field, h, onDrop, replace } from "./dom.js";
import { plural } from "./format.js";
import { attempt } from "./notice.js";

export function enrolForm({ done }) {
  const subject = h("input", { type: "text", required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const camera = h("input", { type: "text", required: true, maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const files = h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", multiple: true });
  const said = h("p", { class: "muted small", role: "status" }, "No images chosen.");
  const results = h("ul", { class: "results" });
  const go = h("button", { type: "submit", disabled: true }, "Enrol");
  const drop = h("div", { class: "drop" }, field("Images of one person", files, "Cropped to the person. Several at once, or drop them here. Images are not kept, only what the network makes of them, unless the access point is told to keep thumbnails."), said);
  const element = h("form", { class: "card", "aria-label": "Enrol" }, h("h2", {}, "Enrol images"),
    h("div", { class: "row" }, h("div", { class: "grow" }, field("Subject id", subject)), h("div", { class: "grow" }, field("Camera", camera))),
    drop, go, results);
  let chosen = [];

  function take(list) {
    chosen = [...list]; // the access point knows which of them it can read
    said.textContent = chosen.length ? `${plural(chosen.length, "image", "images")} chosen.` : "No images chosen.";
    go.disabled = !chosen.length;
  }

  files.addEventListener("change", () => take(files.files));
  onDrop(drop, take);

  async function one(file, id, where) {
    const form = new FormData();
    form.append("image", file);
    try {
      const answer = await call("/v1/entries", { method: "POST", query: { subject: id, camera: where }, form });
      const warnings = answer.warnings?.length ? `: ${answer.warnings.join("; ")}` : "";
      const created = answer.subject_created ? `, new subject ${id}` : "";
      results.append(h("li", { class: warnings ? "warn" : "good" }, `${file.name}: entry ${answer.id ?? answer.entry_id}${created}${warnings}`));
      return true;
    } catch (error) {
      results.append(h("li", { class: "bad" }, `${file.name}: ${error.message}`));
      return false;
    }
  }

  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [id, where] = [subject.value.trim(), camera.value.trim()];
    replace(results);
    go.disabled = true;
    let good = 0;
    for (const [i, file] of chosen.entries()) {
      said.textContent = `${i + 1} of ${chosen.length}`;
      good += Number(await one(file, id, where));
    }
    said.textContent = `${good} of ${plural(chosen.length, "image", "images")} enrolled.`;
    files.value = "";
    chosen = [];
    if (good) await attempt(async () => done(id));
  });
  return {
    element,
    suggest(id) {
      subject.value = id;
    },
  };
}
