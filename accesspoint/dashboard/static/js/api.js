// REST calls: JSON in, JSON out, problem documents as errors.

import { askToken, headers } from "./session.js";

export class Problem extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function problem(response) {
  let document = {};
  try {
    document = await response.json();
  } catch {
    // Not one of ours: the status says what there is to say.
  }
  const words = document.detail || document.title || `${response.status} ${response.statusText}`;
  return new Problem(String(words), response.status, String(document.code ?? ""));
}

/** Relative to the page, which a proxy may show below another path: "/v1/jobs" is "v1/jobs". */
function address(absolute, query) {
  const path = absolute.replace(/^\//, "");
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== "" && value != null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** The response, or a Problem. `quiet`: do not ask for a token a second time. */
export async function send(path, { method = "GET", query, json, form, signal, quiet = false, extraHeaders } = {}) {
  for (;;) {
    let response;
    try {
      response = await fetch(address(path, query), {
        method,
        signal,
        cache: "no-store",
        credentials: "omit",
        headers: {
          ...headers(),
          ...extraHeaders,
          ...(json === undefined ? {} : { "Content-Type": "application/json" }),
        },
        body: form ?? (json === undefined ? undefined : JSON.stringify(json)),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The access point does not answer.");
    }
    if (response.ok) return response;
    const failure = await problem(response);
    if (response.status !== 401 || !(await askToken(failure.message, quiet))) throw failure;
  }
}

export async function call(path, options) {
  const response = await send(path, options);
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** A path with its parts escaped: path("/v1/subjects", id). */
export const path = (base, ...parts) => [base, ...parts.map(encodeURIComponent)].join("/");
