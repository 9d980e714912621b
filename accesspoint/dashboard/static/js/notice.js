// Notices that something was done, or was not: read out, gone after a while.

import { h } from "./dom.js";

const SECONDS = { good: 5, bad: 12 };

export function notice(text, kind = "good") {
  const box = document.getElementById("notices");
  const message = h("div", { class: `notice ${kind}` }, text);
  box.append(message);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => message.remove(), SECONDS[kind] * 1000);
}

/** Runs what a person asked for; shows a notice and gives undefined if it fails. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    notice(error.message, "bad");
    return undefined;
  }
}
