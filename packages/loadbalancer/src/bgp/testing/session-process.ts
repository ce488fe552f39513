// A speaker with one BGP session, for tests that run it inside a host of a segment and kill it there:
// `node session-process.ts '{"peerAddress": …}'`. Lines of JSON on standard input change it, its status comes out in lines.
import { createInterface } from 'node:readline';
import { logger } from '@cloudless/kube/logger';
import type { BgpPeer } from '../../config/config.ts';
import type { BgpEnding, BgpRoute } from '../bgp.ts';
import { startBgpSession } from '../session.ts';
import { bgpPeer } from './passive-peer.ts';

/** A line of standard input. */
export interface Order {
  readonly routes?: readonly BgpRoute[];
  readonly stop?: BgpEnding;
}

/** What differs from {@link bgpPeer}, and an option of the session. */
export type SpeakerPeer = Partial<BgpPeer> & { readonly forwardingPreserved?: boolean };

if (import.meta.main) {
  const { forwardingPreserved = true, ...peer } = JSON.parse(process.argv[2] ?? '{}') as SpeakerPeer;
  const session = startBgpSession({
    peer: bgpPeer({ routerId: undefined, ...peer }),
    nodeName: 'node',
    forwardingPreserved,
    log: logger('bgp'),
  });
  const report = (): void => void process.stdout.write(`${JSON.stringify(session.status())}\n`);
  session.subscribe(report);
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { routes, stop } = JSON.parse(line) as Order;
    if (routes) session.setRoutes(routes);
    if (stop) {
      process.stdin.destroy();
      void session.stop(stop).then(report);
    }
  });
  report();
}
