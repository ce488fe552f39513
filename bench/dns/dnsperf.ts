import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findPeer } from '@cloudless/kube/testing/peers';
import { onCores } from './alone.ts';
import { quantile } from '../table.ts';

const run = promisify(execFile);

export interface Measured {
  perSecond: number;
  lost: number;
  sent: number;
  p50: number;
  p99: number;
  nxdomain: number;
}

/** One run of dnsperf; latencies in microseconds (only `paced`: it then prints each answer). */
export async function dnsperf(options: {
  port: number;
  questions: string;
  seconds: number;
  cores: string;
  dnssecOk?: boolean;
  /** Questions a second; undefined: as many as there are answers. */
  paced?: number;
  clients?: number;
}): Promise<Measured> {
  const peer = findPeer('dnsperf');
  if (!peer) throw new Error('no dnsperf here: run scripts/setup --test as root');
  const place = ['-s', '127.0.0.1', '-p', String(options.port), '-d', options.questions];
  const args = [
    ...place,
    ...['-l', options.seconds, '-c', options.clients ?? 8, '-T', 1, '-t', 2].map(String),
    ...(options.paced === undefined ? ['-q', '400'] : ['-Q', String(options.paced), '-v']),
    ...(options.dnssecOk ? ['-D'] : []),
  ];
  const { stdout } = await run(...onCores(options.cores, peer.program, args), {
    env: peer.env,
    maxBuffer: 1e9,
  });
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  const latencies = [...stdout.matchAll(/^> \w+ \S+ \S+ (\d+\.\d+)$/gm)].map(
    (match) => Number(match[1]) * 1e6,
  );
  return {
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    lost: number(/Queries lost:\s+(\d+)/),
    sent: number(/Queries sent:\s+(\d+)/),
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    nxdomain: number(/NXDOMAIN (\d+)/),
  };
}
