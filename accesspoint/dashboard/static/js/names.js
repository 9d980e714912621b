// Names that ids were made of, as airreid/subject_ids.py makes them.

const PLAIN = /[A-Za-z0-9._:@-]/;
const BEGINS_ID = /^[A-Za-z0-9][A-Za-z0-9._:@+-]*$/;

/** The name that an id was made of; an id that was not made is its own name. */
export function nameOf(id) {
  if (!id.endsWith("+")) return id;
  let escaped = id.slice(0, -1);
  if (escaped.startsWith("x++") || escaped === "x+") escaped = escaped.slice(2);
  const bytes = [];
  for (let place = 0; place < escaped.length; place += 1) {
    const hex = /^\+([0-9A-F]{2})/.exec(escaped.slice(place));
    bytes.push(hex ? parseInt(hex[1], 16) : escaped.charCodeAt(place));
    if (hex) place += 2;
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** A subject as people read it: an id that was made of a name stands behind the name. */
export function nameAndId(id) {
  const name = nameOf(id);
  return name === id ? id : `${name} (${id})`;
}

/** How the ids begin that are made of names which begin with a text; an id's beginning stays. */
export function idPrefix(text) {
  if (!text || BEGINS_ID.test(text)) return text;
  const bytes = [...new TextEncoder().encode(text.normalize("NFC"))];
  const letters = bytes.map((byte) => String.fromCharCode(byte));
  const escaped = letters.map((letter) => (PLAIN.test(letter) ? letter : escape(letter)));
  if (/^[A-Za-z0-9]/.test(escaped[0])) return escaped.join("");
  return ["x+", escape(letters[0]), ...escaped.slice(1)].join("");
}

const escape = (letter) => `+${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
