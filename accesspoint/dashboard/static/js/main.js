// Starts the page: views by the address's fragment, the state in the header, the alarm.

import { visible } from "./dom.js";
import { startGallery } from "./gallery.js";
import { startHealth } from "./health.js";
import { ago, plural } from "./format.js";
import { startLinks } from "./links.js";
import { startLive } from "./live.js";
import { startSearch } from "./search.js";
import { askToken } from "./session.js";
import { startTheme } from "./theme.js";

const NAMES = ["live", "link", "gallery", "search", "health"];
const section = (name) => document.getElementById(`view-${name}`);
const status = { feed: "cut", feedWhy: "", health: null, last: 0 };

function alarm(text, level = "bad") {
  const box = document.getElementById("alarm");
  if (box.textContent !== visible(text)) box.textContent = visible(text);
  box.dataset.level = level;
  box.hidden = !text;
}

function show() {
  const { health, feed, last } = status;
  const box = document.getElementById("status");
  const words = document.getElementById("status-text");
  let state = "good";
  let text = "";
  if (!health) {
    [state, text] = ["warn", "Connecting"];
  } else if (health.token) {
    [state, text] = ["bad", "Needs a token"];
    alarm("This access point needs a token: press Token above.", "warn");
  } else if (!health.ok) {
    [state, text] = ["bad", health.reached ? "Not ready" : "No answer"];
    alarm(health.why);
  } else if (feed !== "live") {
    [state, text] = ["warn", "Feed cut, trying again"];
    alarm(`No live queries: ${status.feedWhy || "the feed is cut"}`, "warn");
  } else {
    text = `Ready, ${plural(health.state.entries, "entry", "entries")}`;
    alarm("");
  }
  const heard = last ? `, last query ${ago(Date.now() / 1000 - last)}` : "";
  if (words.textContent !== text) words.textContent = text;
  document.getElementById("status-last").textContent = heard;
  box.dataset.state = state;
}

/** A part of the address; one that nobody can have made is as good as none. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

function start() {
  startTheme(document.getElementById("theme"));
  document.getElementById("token").addEventListener("click", () => askToken("Sent with every request of this page."));
  const links = startLinks(section("link"));
  const search = startSearch(section("search"));
  const views = {
    link: links,
    gallery: startGallery(section("gallery")),
    search,
    health: startHealth(section("health"), (health) => {
      status.health = health;
      if (health.state) search.told(health.state);
      show();
    }),
    live: startLive(section("live"), {
      state: (feed, why) => {
        Object.assign(status, { feed, feedWhy: why });
        show();
      },
      seen: (query) => {
        status.last = Math.max(status.last, query.time);
        links.seen(query);
      },
    }),
  };

  function turn(focus) {
    const [view, id] = location.hash.slice(1).split("/");
    const name = NAMES.includes(view) ? view : "live";
    for (const view of NAMES) section(view).hidden = view !== name;
    for (const link of document.querySelectorAll(".tabs a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const heading = document.getElementById(`title-${name}`);
    document.title = `${heading.textContent} · AirReID access point`;
    if (focus) heading.focus({ preventScroll: true });
    views[name].shown(decoded(id ?? ""));
  }
  addEventListener("hashchange", () => turn(true));
  turn(false);
  setInterval(show, 1000);
}

start();
