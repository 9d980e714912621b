// Search by a picture: one is chosen or dropped, the ranking and the decision come back.

import { call } from "./api.js";
import { MEANING, badge, decided, pictured, who, WORDS } from "./decision.js";
import { field, h, onDrop, replace, visible } from "./dom.js";
import { megabytes, score } from "./format.js";
import { canvas, paint, picture } from "./pictures.js";
import { headline, ranking, scoreLine } from "./queryrow.js";

const TOP = 10;

/** An answer of the search as the live view has queries, since the same words go with it. */
function asQuery({ decision, subjects, scheme }) {
  return {
    code: "ok",
    outage: false,
    decision: decision.kind,
    subject: decision.subject,
    threshold: decision.threshold,
    identities: subjects,
    scheme,
  };
}

function facts(answer) {
  const { decision } = answer;
  const known = [
    ["Scheme", answer.scheme],
    ["Threshold", decision.threshold > 0 ? score(decision.threshold) : "none"],
    answer.subjects.length > 1 ? ["Lead over the second", score(decision.margin)] : null,
    decision.false_match_rate > 0 ? ["False matches stated", `${+(100 * decision.false_match_rate).toPrecision(3)} %`] : null,
  ].filter(Boolean);
  return h("dl", { class: "facts" }, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function startSearch(section) {
  const input = h("input", { type: "file", accept: "image/*,.heic,.heif,.avif" });
  const said = h("p", { class: "muted small", role: "status" }, "No picture chosen.");
  const failed = h("p", { class: "note bad", role: "alert", hidden: true });
  const limit = h("span", {});
  const drop = h("div", { class: "drop" },
    field("Picture of one person", input, ["Cropped to the person. Choose one, or drop it here.", limit, " It is searched for and not kept."]), said);
  const result = h("section", { class: "card", "aria-label": "Result", hidden: true });
  section.append(h("div", { class: "search" }, h("div", { class: "card" }, drop, failed), result));
  let bytesMax = 0;
  let running = null;

  function fail(text) {
    failed.textContent = visible(text);
    failed.hidden = !text;
    if (!text) return;
    said.textContent = "Nothing was searched for.";
    result.hidden = true;
  }

  function show(answer, file) {
    const query = asQuery(answer);
    const own = canvas(`The picture ${file.name}`);
    const shown = pictured(query);
    const figure = h("figure", { class: "picture own-picture" }, own, h("figcaption", {}, "searched for"));
    createImageBitmap(file).then((image) => paint(own, image), () => replace(figure, h("figcaption", {}, "This browser cannot show it.")));
    replace(result,
      h("div", { class: "found" },
        figure,
        shown ? picture(shown, decided(query) ? "enrolled" : "nearest") : null,
        h("div", {},
          h("div", { class: "latest-top" }, badge(query.decision)),
          headline(query),
          h("p", { class: "muted small" }, MEANING[query.decision]),
          scoreLine(query))),
      h("h2", {}, "Nearest, best first"),
      answer.subjects.length
        ? ranking(answer.subjects, { threshold: query.threshold, pictures: true })
        : h("p", { class: "muted" }, "The gallery has nobody to compare with."),
      facts(answer));
    result.hidden = false;
    said.textContent = visible(`${file.name}: ${WORDS[query.decision]}, ${who(query)}.`);
  }

  async function find(file) {
    running?.abort();
    fail("");
    if (bytesMax && file.size > bytesMax) {
      fail(`${file.name}: ${megabytes(file.size)}; a picture may have ${megabytes(bytesMax)} at most. Crop the person out first.`);
      return;
    }
    const mine = new AbortController();
    running = mine;
    said.textContent = visible(`Searching for ${file.name} …`);
    const form = new FormData();
    form.append("image", file);
    try {
      const answer = await call("/v1/search", { method: "POST", query: { top_k: TOP }, form, signal: mine.signal });
      if (running === mine) show(answer, file);
    } catch (error) {
      if (running === mine) fail(error.message);
    }
  }

  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) find(file);
  });
  onDrop(drop, ([file]) => file && find(file));

  return {
    shown() {},
    /** Takes the state of the access point, which says how large a picture may be. */
    told({ image_bytes_max: bytes }) {
      bytesMax = bytes;
      limit.textContent = ` ${megabytes(bytes)} at most.`;
    },
  };
}
