// The token: kept for this tab only (sessionStorage), sent as a header, never in an address.

import { field, h } from "./dom.js";
import { ask } from "./dialog.js";

const KEY = "airreid-token";
let token = "";
let asking = null;
let refused = false;

try {
  token = sessionStorage.getItem(KEY) ?? "";
} catch {
  // Kept in memory.
}

export const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

function keep(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Kept in memory.
  }
  dispatchEvent(new CustomEvent("airreid-token"));
}

async function dialog(why) {
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", maxlength: 512 });
  const go = await ask({
    title: "Token of this access point",
    body: [
      h("p", {}, why),
      field("Token", input, "Made with: airreid ap token add. It is kept until this tab is closed. Empty: forget it."),
    ],
    yes: "Use token",
  });
  if (go) keep(input.value.trim());
  refused = !go;
  return go;
}

/** Asks for a token; one dialog however many ask. True if one was given. */
export function askToken(why, quiet = false) {
  if (quiet && refused) return Promise.resolve(false);
  asking ??= dialog(why).finally(() => {
    asking = null;
  });
  return asking;
}
