// One line a camera: when it was last heard, how well, and what came of it.

import { h, replace } from "./dom.js";
import { ago, count, decibel, percent } from "./format.js";
import { outcome } from "./tally.js";

const MOST = 50;
const SILENT_SECONDS = 300;

export class Cameras {
  constructor() {
    this.all = new Map();
  }

  add(query) {
    const name = query.edge_id;
    const one = this.all.get(name) ?? { name, queries: 0, lost: 0 };
    one.queries += 1;
    one.lost += Number(outcome(query) === "outage");
    one.time = query.time;
    one.snr_db = query.snr_db;
    this.all.delete(name);
    this.all.set(name, one);
    if (this.all.size > MOST) this.all.delete(this.all.keys().next().value);
  }

  /** Takes what the access point knows of cameras since its start. */
  take(cameras) {
    this.all = new Map(cameras.map((one) => [one.name, { ...one }]));
  }

  /** Draws the table; those heard longest ago stand first: they may be in trouble. */
  draw(box) {
    if (!this.all.size) {
      replace(box, h("p", { class: "empty small" }, "No camera has been heard yet."));
      return;
    }
    const now = Date.now() / 1000;
    const heads = ["Camera", "Heard", "SNR", "Queries", "Lost"];
    replace(box, h("table", { class: "cameras" },
      h("thead", {}, h("tr", {}, heads.map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : "" }, name)))),
      h("tbody", {}, [...this.all.values()].map((one) => h("tr", {},
        h("th", { scope: "row" }, one.name || "(no id)"),
        h("td", { class: now - one.time > SILENT_SECONDS ? "silent" : "" }, ago(now - one.time)),
        h("td", { class: "number" }, Number.isFinite(one.snr_db) ? decibel(one.snr_db) : "direct"),
        h("td", { class: "number" }, count(one.queries)),
        h("td", { class: "number" }, percent(one.lost, one.queries)))))));
  }
}
