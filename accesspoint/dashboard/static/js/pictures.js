// Pictures of subjects: thumbnails that were kept at enrolment, drawn on canvases.

import { call, path, send } from "./api.js";
import { h } from "./dom.js";

const KEPT = 100;
const FRESH_MS = 60_000;
const FIRST_ENTRIES = 24;
const WIDTH = 96;
const HEIGHT = 192;

/** By subject and entry: the last time it was looked up, and what came of it. */
const looked = new Map();
let turn = Promise.resolve();

/** Draws an image that was decoded: no address and no markup is made of what a server sent. */
export function paint(canvas, image) {
  const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
}

/** A canvas of the size of a person crop. */
export const canvas = (label) => h("canvas", { class: "thumb", width: WIDTH, height: HEIGHT, role: "img", "aria-label": label });

/** The thumbnail of an entry that has one, decoded. */
export async function thumbnail(entryId) {
  const response = await send(`${path("/v1/entries", String(entryId))}/thumbnail`, { quiet: true });
  return createImageBitmap(await response.blob());
}

/** The picture of this entry, else of another one of the subject; null where none is kept. */
async function find(subject, entryId) {
  const query = { subject, page_size: FIRST_ENTRIES };
  const { entries } = await call("/v1/entries", { query, quiet: true });
  const kept = entries.filter((entry) => entry.has_thumbnail);
  const entry = kept.find(({ id }) => id === entryId) ?? kept[0];
  return entry ? { camera: entry.camera, image: await thumbnail(entry.id) } : null;
}

function remember(key, fields) {
  looked.delete(key);
  looked.set(key, fields);
  if (looked.size > KEPT) looked.delete(looked.keys().next().value);
  return fields;
}

/** Forgets all pictures: somebody was deleted, or another token is used. */
export function forgetPictures() {
  looked.clear();
}

addEventListener("airreid-token", forgetPictures);

/**
 * A subject's picture, with a caption or without, which appears when it is there. Pictures are looked up one
 * after the other, and not for what has left the page meanwhile.
 */
export function picture({ subject, entry_id: entryId }, caption = "") {
  const drawn = canvas(`Picture of ${subject}, kept when it was enrolled`);
  const words = caption && h("figcaption", {}, caption);
  const figure = h("figure", { class: "picture", hidden: true }, drawn, words || null);
  const key = `${entryId} ${subject}`;

  function show({ value }) {
    if (!value) return;
    paint(drawn, value.image);
    if (words) words.append(h("span", { class: "muted" }, `, ${value.camera}`));
    figure.hidden = false;
  }

  const before = looked.get(key);
  if (before && Date.now() - before.time < FRESH_MS) {
    show(before);
    return figure;
  }
  turn = turn.then(async () => {
    if (!figure.isConnected) return;
    const known = looked.get(key);
    if (known && Date.now() - known.time < FRESH_MS) {
      show(known);
      return;
    }
    const value = await find(subject, entryId).catch(() => null); // a picture is not worth a notice
    show(remember(key, { time: Date.now(), value }));
  });
  return figure;
}
