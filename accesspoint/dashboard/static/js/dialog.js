// Questions in a <dialog>: Escape and Cancel mean no, the focus goes back where it was.

import { h } from "./dom.js";

/** Shows a question; true if it was answered with yes. */
export function ask({ title, body, yes, danger = false }) {
  const heading = h("h2", { id: "dialog-title" }, title);
  const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
  const confirm = h("button", { type: "submit", class: danger ? "danger" : "" }, yes);
  const form = h("form", { method: "dialog" }, heading, body, h("div", { class: "row end" }, cancel, confirm));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  const before = document.activeElement;
  return new Promise((resolve) => {
    let answer = false;
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", () => {
      answer = true;
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (danger) cancel.focus();
  });
}
