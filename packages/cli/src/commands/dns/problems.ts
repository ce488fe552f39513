import type { ZoneProblem } from '@cloudless/dns/zone/zone';

/** `FILE:LINE: error: MESSAGE`, as compilers and named-checkzone have it. */
export function problemText({ severity, place, message }: ZoneProblem): string {
  return place ? `${place.source}:${place.line}: ${severity}: ${message}` : `${severity}: ${message}`;
}

/** Something is wrong with a file; the lines have been printed. */
export class ProblemsError extends Error {
  override readonly name = 'ProblemsError';
}
