// Short words that something was done, or was not: read out, gone after a while.

import { h } from "./dom.js";

const SECONDS = { good: 5, bad: 12 };

export function notice(text, kind = "good") {
  const box = document.getElementById("notices");
  const one = h("div", { class: `notice ${kind}` }, text);
  box.append(one);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => one.remove(), SECONDS[kind] * 1000);
}

/** Runs what a person asked for; says so if it fails. Undefined then. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    notice(error.message, "bad");
    return undefined;
  }
}
