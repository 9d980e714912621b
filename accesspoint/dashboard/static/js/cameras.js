// Table of cameras: when each was last heard, how well, and its sums.

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
    const camera = this.all.get(name) ?? { name, queries: 0, lost: 0 };
    camera.queries += 1;
    camera.lost += Number(outcome(query) === "outage");
    camera.time = query.time;
    camera.snr_db = query.snr_db;
    this.all.delete(name);
    this.all.set(name, camera);
    if (this.all.size > MOST) this.all.delete(this.all.keys().next().value);
  }

  /** Takes the access point's sums of cameras since its start. */
  take(cameras) {
    this.all = new Map(cameras.map((camera) => [camera.name, { ...camera }]));
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
      h("tbody", {}, [...this.all.values()].map((camera) => h("tr", {},
        h("th", { scope: "row" }, h("span", { class: "clamp", title: camera.name }, camera.name || "(no id)")),
        h("td", { class: now - camera.time > SILENT_SECONDS ? "silent" : "" }, ago(now - camera.time)),
        h("td", { class: "number" }, Number.isFinite(camera.snr_db) ? decibel(camera.snr_db) : "direct"),
        h("td", { class: "number" }, count(camera.queries)),
        h("td", { class: "number" }, percent(camera.lost, camera.queries)))))));
  }
}
