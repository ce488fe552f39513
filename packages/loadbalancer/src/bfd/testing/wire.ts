import type { BfdState } from '../bfd.ts';
import { type BfdTiming, BfdMachine } from '../machine.ts';
import { type ControlPacket, decodeControl } from '../packet.ts';

export const timing: BfdTiming = {
  receiveIntervalMs: 50,
  transmitIntervalMs: 50,
  detectMultiplier: 3,
  passive: false,
};

/** One end of a {@link Wire}. */
export interface End {
  readonly machine: BfdMachine;
  /** What it has sent, and when. */
  readonly sent: Array<{ readonly ms: number; readonly packet: ControlPacket }>;
  readonly changes: Array<{ readonly ms: number; readonly state: BfdState; readonly diagnostic: number }>;
}

/** Two sessions on a wire in a time of its own: each packet arrives 1 ms later, unless it is lost. */
export class Wire {
  nowMs = 1000;
  /** Whether a packet that leaves this end now is lost. */
  lost: (from: End) => boolean = () => false;
  readonly a: End;
  readonly b: End;
  #flying: Array<{ readonly ms: number; readonly to: () => End; readonly packet: ControlPacket }> = [];

  constructor(random: () => number, ofA: Partial<BfdTiming> = {}, ofB: Partial<BfdTiming> = {}) {
    this.a = this.#end(1, { ...timing, ...ofA }, random, () => this.b);
    this.b = this.#end(2, { ...timing, ...ofB }, random, () => this.a);
  }

  #end(discriminator: number, own: BfdTiming, random: () => number, to: () => End): End {
    const sent: End['sent'] = [];
    const changes: End['changes'] = [];
    const machine = new BfdMachine(
      {
        timing: own,
        discriminator,
        random,
        send: (bytes) => {
          const packet = decodeControl(bytes);
          if (typeof packet === 'string') throw new Error(`it sent a packet with a fault: ${packet}`);
          sent.push({ ms: this.nowMs, packet });
          if (!this.lost(end)) this.#flying.push({ ms: this.nowMs + 1, to, packet });
        },
        changed: (state, diagnostic) => changes.push({ ms: this.nowMs, state, diagnostic }),
      },
      this.nowMs,
    );
    const end: End = { machine, sent, changes };
    return end;
  }

  /** Lets so much time pass. */
  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const machines = [this.a.machine, this.b.machine];
      const next = Math.min(...this.#flying.map((one) => one.ms), ...machines.map(({ nextMs }) => nextMs));
      if (next > endMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      const arrived = this.#flying.filter((one) => one.ms <= this.nowMs);
      this.#flying = this.#flying.filter((one) => one.ms > this.nowMs);
      for (const { to, packet } of arrived) to().machine.receive(packet, this.nowMs);
      for (const machine of machines) machine.tick(this.nowMs);
    }
    this.nowMs = endMs;
  }
}
