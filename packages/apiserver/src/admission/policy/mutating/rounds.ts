import type { KubeObject } from '@cloudless/kube/object';
import { cloneJson, equalJson } from '../../../storage/codec.ts';
import type { AdmissionRequest, Reinvocation } from '../../plugin.ts';

const key = 'MutatingAdmissionPolicy';

/** Which policies are asked a second time (upstream: policy/mutating/reinvocationcontext.go). */
export class Rounds {
  readonly #reinvocation: Reinvocation;
  /** The object as the policies left it. */
  #output: KubeObject | undefined;
  /** Asked so far, and to be asked again when the object changes after them. */
  readonly #asked = new Set<string>();
  readonly #again = new Set<string>();

  private constructor(reinvocation: Reinvocation) {
    this.#reinvocation = reinvocation;
  }

  /** Those of a request. */
  static of(request: AdmissionRequest): Rounds {
    const reinvocation = (request.reinvocation ??= { needed: false, again: false, state: new Map() });
    let rounds = reinvocation.state.get(key) as Rounds | undefined;
    if (!rounds) reinvocation.state.set(key, (rounds = new Rounds(reinvocation)));
    return rounds;
  }

  /** Before the policies of a round: others may have changed the object since the last one. */
  begin(object: KubeObject | undefined): void {
    if (this.#reinvocation.again && !equalJson(this.#output, object)) this.#askAgain();
  }

  /** Whether a policy is to be left out of this round. */
  skips(invocation: string): boolean {
    return this.#reinvocation.again && !this.#again.has(invocation);
  }

  /** The object was changed: those asked before are asked again. */
  changed(): void {
    this.#askAgain();
    this.#reinvocation.needed = true;
  }

  /** One whose policy wants to be asked again was asked. */
  asked(invocation: string): void {
    this.#asked.add(invocation);
  }

  end(object: KubeObject | undefined): void {
    if (!this.#reinvocation.again) this.#output = object && cloneJson(object);
  }

  #askAgain(): void {
    for (const invocation of this.#asked) this.#again.add(invocation);
    this.#asked.clear();
  }
}
