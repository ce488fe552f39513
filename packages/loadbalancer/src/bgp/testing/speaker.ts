import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BfdProfile } from '../../config/config.ts';
import type { Host } from '../../testing/segment.ts';
import type { BgpEnding, BgpRoute, BgpSessionStatus } from '../bgp.ts';
import type { Order, SpeakerPeer } from './session-process.ts';

/** One of our speakers in a process inside a host, with a session to one router. */
export interface Speaker {
  setRoutes(routes: ReadonlyArray<Partial<BgpRoute> & { prefix: string }>): void;
  /** Resolves with the first status, the present one included, that is `done`; at most 20 s. */
  until(what: string, done: (status: BgpSessionStatus) => boolean): Promise<BgpSessionStatus>;
  stop(how: BgpEnding): Promise<void>;
  /** Its main thread does nothing else for so long. */
  stall(ms: number): void;
  /** Everything it has reported so far. */
  readonly reports: readonly BgpSessionStatus[];
  /** `kill -9`. Safe after its end. */
  kill(): Promise<void>;
}

/** Starts a speaker; `peer` overrides what {@link bgpPeer} has, `bfd` 50 ms × 3; without it there is no BFD. */
export function startSpeaker(host: Host, peer: SpeakerPeer, bfd?: Partial<BfdProfile>): Speaker {
  const program = join(import.meta.dirname, 'session-process.ts');
  const child: ChildProcess = host.start(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      program,
      JSON.stringify(peer),
      ...(bfd === undefined ? [] : [JSON.stringify(bfd)]),
    ],
    { ...process.env, CLOUDLESS_LOG: process.env['CLOUDLESS_LOG'] ?? 'silent' },
  );
  const ended = once(child, 'exit');
  let status: BgpSessionStatus | undefined;
  const reports: BgpSessionStatus[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    status = JSON.parse(line) as BgpSessionStatus;
    reports.push(status);
    for (const look of waiting) look();
  });
  const order = (order: Order): void => void child.stdin?.write(`${JSON.stringify(order)}\n`);
  return {
    setRoutes: (routes) =>
      order({ routes: routes.map((one) => ({ localPref: 0, communities: [], ...one })) }),
    until(what, done) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(new Error(`${host.name} waited 20 s in vain until ${what}: ${JSON.stringify(status)}`));
        }, 20_000);
        const look = (): void => {
          if (status === undefined || !done(status)) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(status);
        };
        waiting.add(look);
        look();
      });
    },
    reports,
    stall: (stallMs) => order({ stallMs }),
    async stop(how) {
      order({ stop: how });
      await ended;
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
