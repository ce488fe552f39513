import type { Logger } from '@cloudless/kube/logger';

/** A logger that keeps what it is told: one text a line, with its fields. */
export class LogRecord {
  readonly lines: string[] = [];

  get log(): Logger {
    const write =
      (level: string) =>
      (fields: object, message: string): void => {
        this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
        if (process.env['LEVEL'] !== undefined) console.log(this.lines.at(-1));
      };
    const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    return log as unknown as Logger;
  }

  has(pattern: RegExp): boolean {
    return this.lines.some((line) => pattern.test(line));
  }
}
