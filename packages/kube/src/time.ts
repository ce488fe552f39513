/** Times as the API writes them. */

/** metav1.Time: RFC 3339, whole seconds, UTC. */
export function formatTime(ms: number): string {
  return `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** metav1.MicroTime: RFC 3339 with six digits of the second, UTC. */
export function formatMicroTime(ms: number): string {
  const micros = Math.floor((((ms % 1000) + 1000) % 1000) * 1000);
  return `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`;
}

/** Milliseconds since the epoch; NaN when absent or not a time. */
export function parseTime(text: string | undefined): number {
  return text === undefined ? Number.NaN : Date.parse(text);
}
