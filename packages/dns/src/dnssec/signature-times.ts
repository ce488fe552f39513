/** Signatures begin to count this long ago, for validators whose clock is behind (RFC 6781 section 4.4.2.2). */
const backdateSeconds = 3600;

/** One stretch of time in which a set keeps its signature. */
export interface SignatureTimes {
  /** Seconds since the epoch. */
  readonly inceptionSeconds: number;
  readonly expirationSeconds: number;
  /** Milliseconds since the epoch: from `beginMs` until `endMs` this signature is given out, then another one. */
  readonly beginMs: number;
  readonly endMs: number;
}

/** A number that depends on the text alone, spread over 0 … 2^32-1: FNV-1a and a finishing mix. */
export function spread(text: string, seed = 0x811c9dc5): number {
  let value = seed;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** How long a signature is given out: three quarters of its validity, so that a cached one has a quarter left. */
export function stretchSeconds(validitySeconds: number): number {
  return Math.max(1, Math.floor((validitySeconds * 3) / 4));
}

/**
 * The stretch that `nowMs` is in. Time is cut into stretches by the calendar, not by when the process began, and `phase`
 * (from {@link spread}) moves the cuts: so all replicas give the same times, a clock that is set leads straight to the
 * right stretch, and sets of different names are not signed anew at once.
 */
export function signatureTimes(phase: number, validitySeconds: number, nowMs: number): SignatureTimes {
  const stretch = stretchSeconds(validitySeconds);
  const offset = phase % stretch;
  const begin = Math.floor((Math.floor(nowMs / 1000) - offset) / stretch) * stretch + offset;
  return {
    inceptionSeconds: begin - backdateSeconds,
    expirationSeconds: begin + validitySeconds,
    beginMs: begin * 1000,
    endMs: (begin + stretch) * 1000,
  };
}
