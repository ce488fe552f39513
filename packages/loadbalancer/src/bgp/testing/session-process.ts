// A speaker with one BGP session, for tests that run it inside a host of a segment and kill it there:
// `node session-process.ts '{"peerAddress": …}' ['{BFD profile}']`. Lines of JSON on standard input change it, its status
// comes out in lines.
import { createInterface } from 'node:readline';
import { logger } from '@cloudless/kube/logger';
import { startBfdSession } from '../../bfd/session.ts';
import type { BfdProfile, BgpPeer } from '../../config/config.ts';
import type { BgpEnding, BgpRoute } from '../bgp.ts';
import { startBgpSession } from '../session.ts';
import { bgpPeer } from './passive-peer.ts';

/** A line of standard input. */
export interface Order {
  readonly routes?: readonly BgpRoute[];
  readonly stop?: BgpEnding;
  /** The main thread does nothing else for so long. */
  readonly stallMs?: number;
}

/** What differs from {@link bgpPeer}, and an option of the session. */
export type SpeakerPeer = Partial<BgpPeer> & { readonly forwardingPreserved?: boolean };

const bfdDefaults: BfdProfile = {
  name: 'test',
  receiveIntervalMs: 50,
  transmitIntervalMs: 50,
  echoIntervalMs: 50,
  detectMultiplier: 3,
  echoMode: false,
  passiveMode: false,
  minimumTtl: 254,
};

if (import.meta.main) {
  const log = logger('bgp');
  const [, , peerText = '{}', bfdText] = process.argv;
  const { forwardingPreserved = true, ...peer } = JSON.parse(peerText) as SpeakerPeer;
  const profile = bfdText && { ...bfdDefaults, ...(JSON.parse(bfdText) as Partial<BfdProfile>) };
  const session = startBgpSession({
    ...(profile ? { bfd: (ends) => startBfdSession({ ...ends, profile, log }) } : {}),
    peer: bgpPeer({ routerId: undefined, ...peer }),
    nodeName: 'node',
    forwardingPreserved,
    log,
  });
  const report = (): void => void process.stdout.write(`${JSON.stringify(session.status())}\n`);
  session.subscribe(report);
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { routes, stop, stallMs } = JSON.parse(line) as Order;
    if (routes) session.setRoutes(routes);
    if (stallMs !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
    if (stop) {
      process.stdin.destroy();
      void session.stop(stop).then(report);
    }
  });
  report();
}
