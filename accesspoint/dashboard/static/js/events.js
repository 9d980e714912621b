// The feed: server-sent events by fetch, so that the token goes along; comes back after a cut.

import { send } from "./api.js";

const WAIT_FIRST = 1000;
const WAIT_MAX = 15000;

/** Turns text as it arrives into events {event, data}. */
export function parser(emit) {
  let rest = "";
  let fields = { event: "message", data: [] };
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (fields.data.length) emit({ ...fields, data: fields.data.join("\n") });
        fields = { event: "message", data: [] };
        continue;
      }
      if (line.startsWith(":")) continue;
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "data") fields.data.push(value);
      else if (name === "event") fields.event = value;
    }
  };
}

/** Waits, unless there is a new token or the access point is back. */
function pause(milliseconds) {
  const early = new AbortController();
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    for (const sign of ["airreid-token", "airreid-back"]) addEventListener(sign, resolve, { signal: early.signal });
  }).finally(() => early.abort());
}

/** Follows the feed for good. `state` hears "live", or "cut" with why. */
export async function follow({ event, state }) {
  let wait = WAIT_FIRST;
  for (;;) {
    try {
      const extraHeaders = { Accept: "text/event-stream" };
      const response = await send("/v1/events?replay=200", { quiet: true, extraHeaders });
      state("live", "");
      wait = WAIT_FIRST;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const take = parser((message) => event(JSON.parse(message.data)));
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        take(value);
      }
      state("cut", "The access point ended the feed.");
    } catch (error) {
      state("cut", error.message);
    }
    await pause(wait);
    wait = Math.min(2 * wait, WAIT_MAX);
  }
}
