// Sums over the queries so far, by outcome and by SNR; no page elements.

import { median } from "./format.js";

export const BUCKET_DB = 2;
/** Largest magnitude of an SNR in sums and on axes: whatever an event says, they end. */
const SNR_DB_MAX = 100;
const LATEST = 200;
const NONE = { match: 0, ambiguous: 0, unknown: 0, unspecified: 0, outage: 0, refused: 0 };

/** Name of a query's outcome on this page. */
export function outcome(query) {
  if (query.outage) return "outage";
  if (query.code && query.code !== "ok") return "refused";
  return ["match", "unknown", "ambiguous"].includes(query.decision) ? query.decision : "unspecified";
}

/** An SNR as sums and axes have it. */
export function bounded(snr_db) {
  return Math.max(-SNR_DB_MAX, Math.min(SNR_DB_MAX, snr_db));
}

/** True or false where the crop's person is known, else null. A lost block is not right. */
export function right(query) {
  if (!query.truth || outcome(query) === "refused") return null;
  return !query.outage && query.identities?.[0]?.subject === query.truth;
}

/** Milliseconds in the access point. */
export function spent(query) {
  return (query.queue_ms ?? 0) + (query.decode_ms ?? 0) + (query.search_ms ?? 0);
}

/** 95 % interval of a rate: Wilson's (1927). */
export function wilson(good, all) {
  if (!all) return [0, 1];
  const z = 1.96;
  const rate = good / all;
  const scale = 1 + (z * z) / all;
  const middle = (rate + (z * z) / (2 * all)) / scale;
  const half = (z / scale) * Math.sqrt((rate * (1 - rate)) / all + (z * z) / (4 * all * all));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

export class Tally {
  constructor() {
    this.queries = 0;
    this.outcomes = { ...NONE };
    this.known = 0;
    this.right = 0;
    /** Of blocks in pieces: their number, channel uses heard, and those of whole blocks. */
    this.pieces = { blocks: 0, heard: 0, whole: 0 };
    this.buckets = new Map();
    this.latest = [];
  }

  add(query) {
    this.queries += 1;
    this.outcomes[outcome(query)] += 1;
    this.latest.push(query);
    if (this.latest.length > LATEST) this.latest.shift();
    if (query.uses && query.bandwidth) {
      this.pieces.blocks += 1;
      this.pieces.heard += query.uses;
      this.pieces.whole += query.bandwidth;
    }
    const correct = right(query);
    if (correct === null) return;
    this.known += 1;
    this.right += Number(correct);
    if (!Number.isFinite(query.snr_db)) return;
    const low = Math.floor(bounded(query.snr_db) / BUCKET_DB) * BUCKET_DB;
    const bucket = this.buckets.get(low) ?? { low, all: 0, right: 0 };
    bucket.all += 1;
    bucket.right += Number(correct);
    this.buckets.set(low, bucket);
  }

  /** Takes the access point's own sums since its start in place of those made here. */
  take(sums) {
    this.queries = sums.queries;
    this.outcomes = { ...NONE, ...sums.outcomes };
    this.known = sums.known;
    this.right = sums.right;
    this.pieces = { ...sums.pieces };
    this.buckets = new Map(sums.buckets.map((bucket) => [bucket.low, { ...bucket }]));
  }

  /** By SNR, lowest first: {low, all, right}. */
  bySnr() {
    return [...this.buckets.values()].sort((a, b) => a.low - b.low);
  }

  medianSpent() {
    return median(this.latest.filter((query) => outcome(query) !== "outage").map(spent));
  }

  medianSnr() {
    return median(this.latest.map((query) => query.snr_db).filter(Number.isFinite));
  }
}
