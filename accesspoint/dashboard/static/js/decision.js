// What was decided on a query, in words, a sign and a colour, and whom the page names beside it.

import { h } from "./dom.js";
import { nameAndId } from "./names.js";
import { outcome, right } from "./tally.js";

export const WORDS = {
  match: "Match",
  ambiguous: "Ambiguous",
  unknown: "Unknown",
  outage: "Lost",
  refused: "Refused",
  unspecified: "No decision",
};

export const MEANING = {
  match: "The best subject is above the threshold and clear of the second.",
  ambiguous: "Somebody is near the threshold, or two subjects are too close to call.",
  unknown: "Nobody in the gallery is alike enough. Somebody is always the nearest.",
  outage: "The radio lost this block: its bits did not arrive.",
  refused: "The access point did not answer this block.",
  unspecified: "No thresholds are calibrated for this scheme, so the nearest may be a stranger. See Health.",
};

const SIGNS = { match: "✓", ambiguous: "?", unknown: "–", outage: "×", refused: "!", unspecified: "#" };

export function badge(kind) {
  return h("span", { class: `badge ${kind}` }, h("span", { "aria-hidden": "true" }, SIGNS[kind]), " ", WORDS[kind]);
}

/** The address of a subject's card. */
export const subjectAddress = (id) => `#gallery/${encodeURIComponent(id)}`;

/** A subject's name that leads to its card. */
export const subjectLink = (id) => h("a", { href: subjectAddress(id) }, nameAndId(id));

/** The subject that was decided for, or is in question; empty where nobody is. */
export function decided(query) {
  return ["match", "ambiguous"].includes(outcome(query)) ? query.subject ?? "" : "";
}

/** The entry of the ranking that a picture is shown of: of whom was decided for, or is nearest. */
export function pictured(query) {
  const subject = decided(query) || (outcome(query) === "unspecified" && nearest(query));
  return query.identities?.find((identity) => identity.subject === subject);
}

/** The best of the ranking, which says nothing by itself. */
export const nearest = (query) => query.identities?.[0]?.subject ?? "";

/** Why a query has no ranking; empty for one that has. */
export function unranked(query) {
  const kind = outcome(query);
  if (kind === "outage") return "block lost";
  if (kind === "refused") return query.code.replaceAll("_", " ");
  return nearest(query) ? "" : "gallery is empty";
}

/** Whom the page names beside the decision, as text: "p1", "p1?" or "nearest: p1". */
export function who(query) {
  const subject = decided(query);
  if (subject) return outcome(query) === "ambiguous" ? `${nameAndId(subject)}?` : nameAndId(subject);
  return unranked(query) || `nearest: ${nameAndId(nearest(query))}`;
}

/** The same as an element, the name a link; the nearest is grey, since it is no answer. */
export function whoElement(query) {
  const subject = decided(query);
  if (subject) return h("span", { class: "who" }, subjectLink(subject), outcome(query) === "ambiguous" ? "?" : "");
  const reason = unranked(query);
  return h("span", { class: "who nearest" }, reason || ["nearest: ", subjectLink(nearest(query))]);
}

/** Whether the nearest is the person whom the camera says it shows; null where nobody knows. */
export function truth(query) {
  const correct = right(query);
  if (correct === null) return null;
  const words = correct ? (decided(query) ? "✓ right" : "✓ rank 1") : `✗ is ${query.truth}`;
  return h("span", { class: `truth ${correct ? "right" : "wrong"}` }, words);
}
