import { pino, type Logger } from 'pino';

export type { Logger };

/**
 * A logger per package: `logger('datastore')`. Key-value, JSON lines on standard error, level from
 * `CLOUDLESS_LOG` (trace, debug, info, warn, error, silent; default info). Never pass a secret, a token,
 * a key or the body of a Secret.
 */
export function logger(part: string): Logger {
  return root.child({ part });
}

const root = pino(
  {
    level: process.env['CLOUDLESS_LOG'] ?? 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  },
  pino.destination({ dest: 2, sync: true }),
);
