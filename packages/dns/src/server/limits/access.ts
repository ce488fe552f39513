import type { AccessRules } from '../request.ts';
import { NetworkTable, parseNetwork } from './networks.ts';

const allowed = 1;
const denied = 2;

/** Who may ask, by longest prefix; of a network in both lists, `deny` counts. Who is in neither may not. */
export class Access {
  readonly #table = new NetworkTable();
  /** Both families may, and nobody is denied: nothing to look up. */
  readonly #isOpen: boolean;

  /** Throws RangeError for a network that is none. */
  constructor(rules: AccessRules) {
    for (const text of rules.allow) this.#table.set(parseNetwork(text), allowed);
    for (const text of rules.deny) this.#table.set(parseNetwork(text), denied);
    const everybody = ['0.0.0.0/0', '::/0'];
    this.#isOpen = rules.deny.length === 0 && everybody.every((all) => rules.allow.includes(all));
  }

  /** `length` octets of an address at `start`: 4, or 16. */
  isAllowed(bytes: Uint8Array, start: number, length: number): boolean {
    return this.#isOpen || this.#table.find(bytes, start, length) === allowed;
  }
}
