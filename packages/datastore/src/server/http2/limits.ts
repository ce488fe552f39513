/** What one client may ask of the server beyond its calls, before its connection is ended. */

/**
 * Things that cost more than they bring, at once and each second: streams that are given up (CVE-2023-44487) or that
 * the server has to give up (CVE-2025-8671), frames that say nothing (CVE-2019-9518), settings (CVE-2019-9515). A
 * thousand calls that time out together are nothing unusual for an API server.
 */
const nuisanceBurst = 10_000;
const nuisancesASecond = 2_000;
/** Answers to PING and SETTINGS that wait for a client that does not read (CVE-2019-9512). */
export const maxWaitingAcks = 1_000;
/** Of one header block; more CONTINUATION frames than it takes are a flood (CVE-2024-27316). */
export const maxHeaderBytes = 64 * 1024;
export const maxContinuations = 16;
/** A client with more watches than this takes a second connection. */
export const maxStreams = 100_000;
/** What all streams of a connection may hold for a slow reader: lists of everything wait here. */
export const maxPendingBytes = 4 * 1024 ** 3;

/** Counts nuisances. */
export class Patience {
  #left = nuisanceBurst;
  #at: number;
  readonly #nowMs: () => number;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#at = nowMs();
  }

  /** Whether it was one too many. */
  isOver(): boolean {
    if (this.#left < 1) {
      const now = this.#nowMs();
      this.#left = Math.min(nuisanceBurst, ((now - this.#at) / 1000) * nuisancesASecond);
      this.#at = now;
    }
    return --this.#left < 0;
  }
}
