// Elements made of text: nothing that a server sent is ever read as HTML.

function set(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "class") element.setAttribute("class", value);
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "value") element.value = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** h("p", {class: "note"}, "text", node): strings become text nodes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { value, ...others } = properties;
  for (const [name, one] of Object.entries(others)) set(element, name, one);
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
