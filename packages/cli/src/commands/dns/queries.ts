import type { OmittedLine, QueryLine } from '@cloudless/dns/external/query-log';
import { createInterface } from 'node:readline';
import { portOf } from '../named-cluster.ts';
import { isJson, type LocalFlags, localPorts, NoDnsError } from './local-dns.ts';

/** `cloudless dns queries [NAME]`: what is asked and answered, as it happens, until it is interrupted. */
export async function queries(below: string | undefined, flags: LocalFlags): Promise<void> {
  const json = isJson(flags);
  const port = flags.port === undefined ? localPorts(flags.root).health : portOf('--port', flags.port);
  const path = below === undefined ? '/queries' : `/queries?below=${encodeURIComponent(below)}`;
  const { get } = await import('node:http');
  await new Promise<void>((done, fail) => {
    const none = (why: string): NoDnsError =>
      new NoDnsError(
        `no authoritative DNS tells of its queries on 127.0.0.1:${port} (${why}): run this where it runs, and name its port with --port`,
      );
    const asked = get({ host: '127.0.0.1', port, path }, (response) => {
      if (response.statusCode !== 200) {
        fail(none(`status ${response.statusCode}`));
        response.destroy();
        return;
      }
      createInterface({ input: response })
        .on('line', (line) => process.stdout.write(`${json ? line : lineText(line)}\n`))
        .once('close', done);
    });
    asked.once('error', (error) => fail(none(error.message)));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => asked.destroy());
    process.stdout.once('error', () => asked.destroy());
  });
}

/** A line as people read it. */
export function lineText(line: string): string {
  const told = JSON.parse(line) as QueryLine | OmittedLine;
  if ('omitted' in told) return `${told.time}  and ${told.omitted} more`;
  const { time, client, transport, name, type, rcode, answerBytes } = told;
  return `${time}  ${client}  ${transport}  ${name || '.'}  ${type}  ${rcode}  ${answerBytes} bytes`;
}
