import { existsSync } from 'node:fs';

/** Resolves to true when the file is there, to false when `signal` aborts before. */
export function appeared(path: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (existsSync(path)) end(true);
    };
    const aborted = (): void => end(false);
    // The folder may not exist yet either, so there is nothing to watch.
    const timer = setInterval(look, 50);
    const end = (there: boolean): void => {
      clearInterval(timer);
      signal.removeEventListener('abort', aborted);
      resolve(there);
    };
    signal.addEventListener('abort', aborted, { once: true });
    look();
  });
}
