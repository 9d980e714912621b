// The radio link: the channel simulator's settings, changed while blocks fly.

import { call } from "./api.js";
import { field, h, replace } from "./dom.js";
import { effectCard } from "./effect.js";
import { count, decibel } from "./format.js";
import { linkCard } from "./linkcard.js";
import { attempt, notice } from "./notice.js";

const EVERY = 2000;

function absent() {
  return h("div", { class: "card" },
    h("h2", {}, "No channel simulator is given"),
    h("p", {}, "This page can turn the simulated radio's SNR while cameras send. Start the simulator between cameras and access point, and tell the access point where it listens:"),
    h("pre", {}, h("code", {}, "airreid channel serve --upstream AP_HOST:50052 --listen HOST:50051\nairreid ap serve --channel HOST:50051")),
    h("p", { class: "muted" }, "A real radio has no such knob: the SNR that each query was received at is on the Live page."));
}

export function startLinks(section) {
  const body = h("div", {});
  section.append(body);
  const cards = new Map();
  const effect = effectCard();
  const heard = h("div", {});
  let list = null;
  let latest = null;
  let mode = "";

  function turn(next, ...content) {
    if (mode === next) return;
    mode = next;
    cards.clear();
    replace(body, content);
  }

  async function set(link, fields) {
    await attempt(() => call("/v1/links", { method: "PATCH", query: { link }, json: fields }));
    await refresh();
  }

  async function reset(link) {
    const done = await attempt(async () => {
      await call("/v1/links", { method: "DELETE", query: { link } });
      return true;
    });
    if (done) notice(link ? `${link} follows the default again` : "The default is as it was started");
    await refresh();
  }

  function giveOwn(link) {
    return set(link, { model: latest.default.model });
  }

  function frame(answer) {
    list = h("div", { class: "links" });
    const name = h("input", { type: "text", maxlength: 128, autocomplete: "off", spellcheck: "false" });
    const add = h("form", {}, h("div", { class: "row low" },
      h("div", { class: "grow" }, field("Edge id", name)), h("button", { type: "submit", class: "quiet" }, "Give it its own settings")));
    add.addEventListener("submit", (event) => {
      event.preventDefault();
      if (name.value.trim()) giveOwn(name.value.trim()).then(() => { name.value = ""; });
    });
    turn("links",
      h("p", { class: "muted" }, `Channel simulator at ${answer.channel}. A change holds from the next block on.`),
      list, effect.element,
      h("section", { class: "card", "aria-label": "Links" }, h("h2", {}, "Links that were heard"), heard, add));
  }

  function table(answer) {
    const rows = answer.stats.map((sums) => {
      const button = answer.links[sums.link] || sums.link.startsWith("(") ? null
        : h("button", { type: "button", class: "quiet small", data: { link: sums.link }, "aria-label": `Own settings for ${sums.link}` }, "Own");
      button?.addEventListener("click", () => giveOwn(sums.link));
      return h("tr", {}, h("th", { scope: "row" }, sums.link || "(no id)"),
        [count(sums.blocks), decibel(sums.last_snr_db)].map((text) => h("td", { class: "number" }, text)),
        h("td", { class: "number" }, button));
    });
    const heads = ["Edge", "Blocks", "SNR", "Settings"];
    const focused = heard.contains(document.activeElement) ? document.activeElement.dataset.link : undefined;
    replace(heard, rows.length
      ? h("div", { class: "scroll" }, h("table", { class: "plain" }, h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "number" : "" }, head)))), h("tbody", {}, rows)))
      : h("p", { class: "muted small" }, "No camera has sent over this channel yet."));
    if (focused !== undefined) [...heard.querySelectorAll("button")].find((button) => button.dataset.link === focused)?.focus();
  }

  function present(answer) {
    latest = answer;
    if (mode !== "links") frame(answer);
    effect.draw();
    table(answer);
    const wanted = ["", ...Object.keys(answer.links).sort()];
    for (const [link, card] of cards) {
      if (wanted.includes(link)) continue;
      card.element.remove();
      cards.delete(link);
    }
    for (const link of wanted) {
      if (!cards.has(link)) {
        const card = linkCard(link, answer.models, (fields) => set(link, fields), () => reset(link));
        cards.set(link, card);
        list.append(card.element);
      }
      const sums = answer.stats.find((linkSums) => linkSums.link === link);
      cards.get(link).show(link ? answer.links[link] : answer.default, sums);
    }
  }

  async function refresh() {
    try {
      const answer = await call("/v1/links", { quiet: true });
      if (answer.channel) present(answer);
      else turn("absent", absent());
    } catch (error) {
      turn(`failed ${error.message}`, h("p", { class: "note bad" }, error.message));
    }
  }

  setInterval(() => {
    if (!section.hidden && !document.hidden) refresh();
  }, EVERY);
  return {
    shown: refresh,
    seen: (query) => {
      effect.add(query);
      if (!section.hidden) effect.draw();
    },
  };
}
