// One subject: its fields and its entries.

import { call, path } from "./api.js";
import { ask } from "./dialog.js";
import { h, replace } from "./dom.js";
import { count, day } from "./format.js";
import { attempt, notice } from "./notice.js";
import { canvas, forgetPictures, paint, thumbnail } from "./pictures.js";

const PAGE = 24;

function thumb(entry) {
  if (!entry.has_thumbnail) return h("span", { class: "thumb none" }, "no image kept");
  const drawn = canvas(`Thumbnail of entry ${entry.id}`);
  thumbnail(entry.id)
    .then((image) => paint(drawn, image))
    .catch(() => drawn.setAttribute("aria-label", "Thumbnail cannot be shown"));
  return drawn;
}

function entryItem(entry, gone) {
  const remove = h("button", { type: "button", class: "danger small", "aria-label": `Delete entry ${entry.id}` }, "Delete");
  remove.addEventListener("click", async () => {
    const yes = await ask({
      title: `Delete entry ${entry.id}?`,
      body: h("p", {}, `Of ${entry.subject}, camera ${entry.camera}. It is deleted for good.`),
      yes: "Delete",
      danger: true,
    });
    if (!yes) return;
    await attempt(async () => {
      await call(path("/v1/entries", String(entry.id)), { method: "DELETE" });
      forgetPictures();
      notice(`Entry ${entry.id} deleted`);
      gone();
    });
  });
  return h("li", {},
    thumb(entry),
    h("div", {},
      h("strong", {}, entry.camera),
      h("div", { class: "small muted" }, day(entry.captured_at ?? entry.created_at)),
      h("div", { class: "small muted" }, `Entry ${entry.id}`, entry.quality > 0 ? `, quality ${entry.quality.toFixed(2)}` : ""),
      entry.expires_at ? h("div", { class: "small muted" }, `Expires ${day(entry.expires_at)}`) : null),
    h("div", { class: "row" }, remove));
}

export function subjectCard(subject, { remove, merge, changed }) {
  const entries = h("ul", { class: "entries" });
  const moreButton = h("button", { type: "button", class: "quiet", hidden: true }, "Show more entries");
  const deleteIt = h("button", { type: "button", class: "danger" }, "Delete subject");
  const mergeIt = h("button", { type: "button", class: "quiet" }, "Merge");
  deleteIt.addEventListener("click", () => remove(subject));
  mergeIt.addEventListener("click", () => merge(subject));
  moreButton.addEventListener("click", () => attempt(load));
  let token = "";

  async function load() {
    const page = await call("/v1/entries", { query: { subject: subject.id, page_size: PAGE, page_token: token } });
    entries.append(...page.entries.map((entry) => entryItem(entry, changed)));
    token = page.next_page_token;
    moreButton.hidden = !token;
    if (!entries.children.length) replace(entries, h("li", { class: "muted" }, "No entries: add images below."));
  }

  const facts = [
    ["Entries", count(subject.entries)],
    subject.created_at ? ["Since", day(subject.created_at)] : null,
    subject.expires_at ? ["Expires", day(subject.expires_at)] : null,
    subject.note ? ["Note", subject.note] : null,
  ].filter(Boolean);
  const element = h("section", { class: "card", "aria-label": `Subject ${subject.id}` },
    h("div", { class: "card-head" },
      h("h2", {}, subject.display_name || subject.id, subject.display_name ? h("span", { class: "muted mono" }, ` ${subject.id}`) : null),
      h("div", { class: "row" }, mergeIt, deleteIt)),
    h("dl", { class: "pairs" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    entries, moreButton);
  return { element, load };
}
