// Elements made of text: nothing that a server sent is ever read as HTML.

// Control characters, changes of the direction of writing, and what is not seen; the command
// line (airreid.console.printable) has the same, and line breaks too.
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]/gu;
const SAID = ["aria-label", "aria-valuetext", "title"];

/** A text that shows every character: those that command something come as their number. */
export const visible = (text) =>
  String(text).replace(HIDDEN, (character) => {
    const number = character.codePointAt(0);
    return number < 0x100 ? `\\x${number.toString(16).padStart(2, "0")}` : `\\u${number.toString(16).padStart(4, "0")}`;
  });

function set(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "class") element.setAttribute("class", value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : SAID.includes(name) ? visible(value) : String(value));
}

function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return element;
}

/** h("p", {class: "note"}, "text", node): strings become text nodes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { value, ...others } = properties;
  for (const [name, given] of Object.entries(others)) set(element, name, given);
  fill(element, children);
  set(element, "value", value); // a select's after its options
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  return fill(element, children);
}

export function replace(element, ...children) {
  element.replaceChildren();
  return fill(element, children);
}

let numbers = 0;

/** A label, a control and a hint that belong together. */
export function field(label, control, hint) {
  numbers += 1;
  control.id ||= `f${numbers}`;
  const note = hint ? h("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** Calls `take` with the files that are dropped on an element, which is marked while they hover. */
export function onDrop(element, take) {
  for (const kind of ["dragover", "dragenter"]) {
    element.addEventListener(kind, (event) => {
      event.preventDefault();
      element.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) element.addEventListener(kind, () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
}
