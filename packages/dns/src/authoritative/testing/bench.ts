import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { Client } from '../../server/client.ts';
import { rateBuckets } from '../../server/limits/rate-limiter.ts';
import { Counters, events, layout, newCounters } from '../../server/metrics/counters.ts';
import { everybody, unlimited } from '../../server/server.ts';
import { zoneFromText } from '../../testing/dns-server.ts';
import { type EdnsOption, emptyMessage, type Message } from '../../wire/message.ts';
import { parseMessage, plainEdns, writeMessage } from '../../wire/message.ts';
import { addressData } from '../../wire/rdata.ts';
import { ednsOption, rrClass, rrType } from '../../wire/types.ts';
import { zoneImage } from '../../zone/image.ts';
import { AuthoritativeThread, type ThreadSettings } from '../thread.ts';

const text = `www A 192.0.2.1
www AAAA 2001:db8::1
*.any A 192.0.2.2
alias CNAME www
out CNAME www.example.net.
big TXT ${Array.from({ length: 4 }, () => `"${'x'.repeat(200)}"`).join(' ')}
large TXT ${Array.from({ length: 8 }, () => `"${'x'.repeat(200)}"`).join(' ')}
sub NS ns.sub
ns.sub A 192.0.2.3
`;

/** A serving thread alone, with one zone, asked by one client. */
export class Bench {
  readonly clock = new FakeClock();
  readonly counted = newCounters();
  isReady = true;
  readonly thread: AuthoritativeThread;
  readonly out = Buffer.alloc(70_000);
  readonly client = new Client();

  constructor(settings: Partial<ThreadSettings> = {}) {
    this.thread = new AuthoritativeThread({
      settings: {
        access: everybody,
        rateLimit: unlimited,
        cookies: { current: new Uint8Array(16).fill(3), previous: undefined },
        version: undefined,
        id: 'node-1',
        rateBuckets: rateBuckets(),
        rateSeed: 1,
        ...settings,
      },
      counters: new Counters(this.counted),
      clock: this.clock,
      isReady: () => this.isReady,
    });
    this.serve('example.org', text);
    this.from('192.0.2.77');
  }

  serve(origin: string, zone: string, serial = 1): void {
    const image = zoneImage(zoneFromText(origin, zone, serial));
    this.thread.setZone(origin, { image, signing: undefined, isExpired: false });
  }

  from(address: string, transport = 0, port = 4711): void {
    this.client.bytes = addressData(address);
    this.client.length = this.client.bytes.length;
    this.client.transport = transport;
    this.client.port = port;
  }

  event(name: (typeof events)[number]): number {
    return new Float64Array(this.counted)[layout.events + events.indexOf(name)] as number;
  }

  respond(message: Buffer): number {
    this.thread.tick();
    // In the middle of other memory, as batches have it.
    const bytes = Buffer.concat([Buffer.alloc(64, 0xee), message, Buffer.alloc(64, 0xee)]);
    return this.thread.respond(bytes, 64, 64 + message.length, this.client, this.out, 0);
  }

  raw(message: Buffer): Buffer | undefined {
    const length = this.respond(message);
    return length > 0 ? Buffer.from(this.out.subarray(0, length)) : undefined;
  }

  ask(query: Buffer): Message | undefined {
    const answer = this.raw(query);
    return answer && parseMessage(answer);
  }
}

export interface Asked {
  id?: number;
  type?: number;
  class?: number;
  udpSize?: number;
  dnssecOk?: boolean;
  options?: readonly EdnsOption[];
  recursionDesired?: boolean;
}

export function query(name: string, asked: Asked = {}): Buffer {
  const hasEdns = asked.udpSize !== undefined || asked.options || asked.dnssecOk;
  return writeMessage({
    ...emptyMessage,
    id: asked.id ?? 7,
    recursionDesired: asked.recursionDesired ?? false,
    questions: [{ name, type: asked.type ?? rrType.A, class: asked.class ?? rrClass.IN }],
    edns: hasEdns
      ? {
          ...plainEdns,
          udpSize: asked.udpSize ?? 1232,
          dnssecOk: asked.dnssecOk ?? false,
          options: asked.options ?? [],
        }
      : undefined,
  });
}

export const cookie = (...parts: Uint8Array[]): EdnsOption => ({
  code: ednsOption.cookie,
  data: Buffer.concat(parts),
});
export const optionOf = (answer: Message | undefined, code: number): Buffer | undefined =>
  answer?.edns?.options.find((option) => option.code === code)?.data;
