// Numbers and times for people.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const COUNT = new Intl.NumberFormat("en", { useGrouping: true });

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Seconds since 1970 as a time of day. */
export const clock = (seconds) => (known(seconds) ? CLOCK.format(seconds * 1000) : "–");

export const day = (seconds) => (known(seconds) && seconds > 0 ? DAY.format(seconds * 1000) : "–");

export const count = (value) => (known(value) ? COUNT.format(value).replaceAll(",", "\u2009") : "–");

/** One decimal with a sign and a real minus. */
export function decibel(value) {
  if (!known(value)) return "–";
  const rounded = Math.round(value * 10) / 10;
  return `${rounded < 0 ? "−" : "+"}${Math.abs(rounded).toFixed(1)} dB`;
}

export const score = (value) => (known(value) ? value.toFixed(3).replace("-", "−") : "–");

export function percent(part, whole) {
  if (!whole) return "–";
  const exact = whole < 100 || part === 0 || part === whole;
  return `${((100 * part) / whole).toFixed(exact ? 0 : 1)} %`;
}

export function milliseconds(value) {
  if (!known(value)) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

/** Bytes in MiB, or in KiB below one. */
export function megabytes(bytes) {
  const mebi = bytes / 2 ** 20;
  return mebi >= 1 ? `${+mebi.toFixed(1)} MiB` : `${Math.ceil(bytes / 1024)} KiB`;
}

export function ago(seconds) {
  if (!known(seconds) || seconds < 1.5) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

export function median(values) {
  if (!values.length) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
