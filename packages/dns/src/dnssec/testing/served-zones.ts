/** Signed zones for tests: made of lines, and answered from sockets as serving threads answer them. */
import type { Clock } from '@cloudless/kube/clock';
import { answerQuestion } from '../../authoritative/answer.ts';
import { ZonesByOrigin } from '../../authoritative/zone-table.ts';
import { listen, type Listener } from '../../server/listener.ts';
import { writeAnswer } from '../../wire/answer.ts';
import { parseQuery } from '../../wire/query.ts';
import { zoneOf } from '../../zone/build.ts';
import { openImage, zoneImage } from '../../zone/image.ts';
import { parseZone } from '../../zone/text/parse.ts';
import type { Zone } from '../../zone/zone.ts';
import type { SigningPolicy } from '../../zone/zones.ts';
import { presignedSigner } from '../presigned.ts';
import { answerSigner, SignatureMemory } from '../signer.ts';

/** A zone of these lines of a master file; SOA (negative TTL 60) and NS are there already. Throws when it is a bad one. */
export function zoneOfLines(origin: string, lines: readonly string[], serial = 1): Zone {
  const text = [
    '$TTL 300',
    `@ SOA ns1 hostmaster ${serial} 3600 600 1209600 60`,
    '@ NS ns1',
    'ns1 A 127.0.0.1',
    ...lines,
  ].join('\n');
  const { records, problems } = parseZone({ origin, text, place: { source: 'test', line: 1 } });
  const bad = problems.find(({ severity }) => severity === 'error');
  if (bad) throw new Error(bad.message);
  return zoneOf(origin, records);
}

/** A table of zones as a serving thread has it. */
export class SignedZones {
  readonly table = new ZonesByOrigin();
  readonly memory: SignatureMemory;

  constructor(clock: Clock) {
    this.memory = new SignatureMemory(clock);
  }

  set(zone: Zone, policy: SigningPolicy | undefined): void {
    const reader = openImage(zoneImage(zone));
    const signer = policy
      ? answerSigner(reader, structuredClone(policy), this.memory)
      : presignedSigner(reader);
    this.table.set(zone.origin, { zone: reader, isExpired: false, signer });
  }
}

/** Serves them on a free port of the loopback. */
export function serve(zones: SignedZones): Promise<Listener> {
  return listen('127.0.0.1', 0, (message, peer) => {
    const query = parseQuery(message);
    const { name, type } = query.question;
    const { dnssecOk = false, compactOk = false, udpSize = 512 } = query.edns ?? {};
    const answer = answerQuestion(zones.table, { name, type, dnssecOk, compactOk });
    const whole = { ...answer, recursionAvailable: false };
    return writeAnswer(query, whole, peer.transport === 'udp' ? Math.min(udpSize, 1232) : 65_535);
  });
}
