// The gallery browser: subjects by page and prefix, and the one that is chosen.

import { call, path } from "./api.js";
import { subjectAddress } from "./decision.js";
import { ask } from "./dialog.js";
import { field, h, replace } from "./dom.js";
import { enrolForm } from "./enrol.js";
import { count, plural } from "./format.js";
import { idPrefix } from "./names.js";
import { attempt, notice } from "./notice.js";
import { forgetPictures } from "./pictures.js";
import { subjectCard } from "./subject.js";

const PAGE = 50;

export function startGallery(section) {
  const prefix = h("input", { type: "search", maxlength: 128, autocomplete: "off", spellcheck: "false" });
  const list = h("ul", { class: "subjects" });
  const moreButton = h("button", { type: "button", class: "quiet", hidden: true }, "Show more");
  const state = h("p", { class: "muted small", role: "status" });
  const detail = h("div", { class: "detail" });
  const enrol = enrolForm({ done: (subject) => refresh(subject) });
  section.append(h("div", { class: "gallery" },
    h("section", { class: "card", "aria-label": "Subjects" },
      h("h2", {}, "Subjects"),
      field("Id or name begins with", prefix),
      state, list, moreButton),
    h("div", {}, detail, enrol.element)));

  let token = "";
  let chosen = "";
  let turn = 0;

  function item(subject) {
    const button = h("button", { type: "button", "aria-pressed": String(subject.id === chosen), data: { id: subject.id } },
      h("span", {}, subject.display_name || subject.id),
      h("span", { class: "muted" }, count(subject.entries)),
      subject.display_name ? h("span", { class: "muted mono" }, subject.id) : null);
    button.addEventListener("click", () => choose(subject.id, true));
    return h("li", {}, button);
  }

  async function load(afresh) {
    turn += 1;
    const mine = turn;
    if (afresh) token = "";
    const page = await call("/v1/subjects", { query: { prefix: idPrefix(prefix.value.trim()), page_size: PAGE, page_token: token } });
    if (mine !== turn) return;
    if (afresh) list.replaceChildren();
    list.append(...page.subjects.map(item));
    token = page.next_page_token;
    moreButton.hidden = !token;
    const shown = list.children.length;
    state.textContent = shown ? `${plural(shown, "subject", "subjects")} shown${token ? ", there are more" : ""}` : prefix.value ? "No id or name begins so." : "Nobody is enrolled yet: add images below.";
  }

  async function choose(id, asked = false) {
    chosen = id;
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.id === id));
    }
    if (!id) {
      history.replaceState(null, "", "#gallery");
      replace(detail);
      return;
    }
    enrol.suggest(id);
    history.replaceState(null, "", subjectAddress(id));
    await attempt(async () => {
      const subject = await call(path("/v1/subjects", id));
      const card = subjectCard(subject, { remove, merge, changed: () => refresh(id) });
      replace(detail, card.element);
      await card.load();
      if (asked && card.element.getBoundingClientRect().top > innerHeight - 120) card.element.scrollIntoView();
    });
  }

  async function remove(subject) {
    const yes = await ask({
      title: `Delete ${subject.id}?`,
      body: h("p", {}, `The subject and ${plural(subject.entries, "entry", "entries")} are deleted for good.`),
      yes: "Delete",
      danger: true,
    });
    if (!yes) return;
    await attempt(async () => {
      const gone = await call(path("/v1/subjects", subject.id), { method: "DELETE" });
      forgetPictures();
      notice(`${subject.id} deleted with ${plural(gone.entries, "entry", "entries")}`);
      await refresh("");
    });
  }

  async function merge(subject) {
    const into = h("input", { type: "text", maxlength: 128, required: true, autocomplete: "off", spellcheck: "false" });
    const yes = await ask({
      title: `Merge ${subject.id} into another subject`,
      body: [
        h("p", {}, `All ${plural(subject.entries, "entry", "entries")} move there and ${subject.id} is gone. This cannot be undone.`),
        field("Id of the subject that stays", into),
      ],
      yes: "Merge",
    });
    if (!yes) return;
    const target = into.value.trim();
    await attempt(async () => {
      await call("/v1/merge", { method: "POST", json: { source: subject.id, into: target } });
      forgetPictures();
      notice(`${subject.id} merged into ${target}`);
      await refresh(target);
    });
  }

  async function refresh(id = chosen) {
    await attempt(() => load(true));
    await choose(id);
  }

  let typing = 0;
  prefix.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => attempt(() => load(true)), 250);
  });
  moreButton.addEventListener("click", () => attempt(() => load(false)));
  return { shown: (id) => refresh(id || chosen) };
}

