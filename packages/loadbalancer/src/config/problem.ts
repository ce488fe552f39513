import type { KubeObject } from '@cloudless/kube/object';

/** Something wrong in the configuration: which object, which field, and what in a sentence. No secret is in it. */
export interface ConfigurationProblem {
  readonly object: {
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly uid: string | undefined;
  };
  /** `spec.addresses[0]`. */
  readonly field: string;
  readonly message: string;
}

/** `IPAddressPool metallb/torrent: spec.addresses[0]: …`, as logs and statuses have it. */
export function problemText({ object, field, message }: ConfigurationProblem): string {
  return `${object.kind} ${object.namespace}/${object.name}: ${field}: ${message}`;
}

/** What a parse finds. Problems keep a configuration from coming into force, warnings do not. */
export class Findings {
  readonly problems: ConfigurationProblem[] = [];
  readonly warnings: ConfigurationProblem[] = [];

  /** What is found in one object. */
  of(kind: string, object: KubeObject): Report {
    const { namespace = '', name = '', uid } = object.metadata;
    return new Report(this, { kind, namespace, name, uid });
  }
}

export class Report {
  readonly #findings: Findings;
  readonly #object: ConfigurationProblem['object'];

  constructor(findings: Findings, object: ConfigurationProblem['object']) {
    this.#findings = findings;
    this.#object = object;
  }

  /** `namespace/name`, to name the object in a problem of another one. */
  get text(): string {
    return `${this.#object.kind} ${this.#object.namespace}/${this.#object.name}`;
  }

  problem(field: string, message: string): void {
    this.#findings.problems.push({ object: this.#object, field, message });
  }

  warning(field: string, message: string): void {
    this.#findings.warnings.push({ object: this.#object, field, message });
  }

  /** A list in which nothing may stand twice (MetalLB refuses it: internal/config). */
  unique(list: readonly string[] | undefined, field: string): void {
    const seen = new Map<string, number>();
    for (const [i, item] of (list ?? []).entries()) {
      const before = seen.get(item);
      if (before === undefined) seen.set(item, i);
      else this.problem(`${field}[${i}]`, `${item} stands twice, first as ${field}[${before}]`);
    }
  }
}
