import type { UserInfo } from '@cloudless/kube/user';
import type { FlowSchema } from '@cloudless/kube/types/flowcontrol-v1';
import type { RequestInfo } from '../request/info.ts';
import { isSubject, matchesRequest, namesNamespaces } from './matching.ts';
import type { PriorityLevel, Rejection } from './priority-level.ts';

/** Bounds of what is remembered: names and paths are the clients' to invent. */
const maxRemembered = 16_384;
const maxKeyLength = 256;

/** Upstream: requestDurationSecondsBuckets. */
export const waitBoundsSeconds = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30] as const;

/** A histogram of waits. */
export class Waits {
  readonly buckets = new Float64Array(waitBoundsSeconds.length);
  count = 0;
  sumSeconds = 0;

  observe(seconds: number): void {
    this.count++;
    this.sumSeconds += seconds;
    const bucket = seconds === 0 ? 0 : waitBoundsSeconds.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
  }
}

/** One flow schema in use, with what it counts; outlives changes of its object. */
export class SchemaState {
  readonly name: string;
  object: FlowSchema;
  level: PriorityLevel;
  dispatched = 0;
  executing = 0;
  waiting = 0;
  readonly rejected = new Map<Rejection, number>();
  readonly waits = new Waits();
  readonly refusedWaits = new Waits();

  constructor(object: FlowSchema, level: PriorityLevel) {
    this.name = object.metadata.name ?? '';
    this.object = object;
    this.level = level;
  }
}

/** What a request belongs to: a schema, and whom it shares with others of it. */
export interface Flow {
  readonly schema: SchemaState;
  readonly distinguisher: string;
}

/** What is remembered of a kind of request: its flow, unless that is the namespace's. */
interface FoundFlow extends Flow {
  readonly byNamespace: boolean;
}

/** What one user's requests have been classified as. */
interface UserFlows {
  readonly groups: readonly string[];
  readonly flows: Map<string, FoundFlow>;
}

const sameGroups = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((group, i) => group === b[i]));

/** Finds the flow of a request among the schemas of one configuration; each kind of request is looked at once. */
export class Classifier {
  readonly #schemas: readonly SchemaState[];
  readonly #fallback: SchemaState;
  readonly #byNamespace: boolean;
  readonly #users = new Map<string, UserFlows>();
  #remembered = 0;

  /** `schemas`: in the order in which they are asked; `fallback` takes what none matches. */
  constructor(schemas: readonly SchemaState[], fallback: SchemaState) {
    this.#schemas = schemas;
    this.#fallback = fallback;
    this.#byNamespace = schemas.some(({ object }) => namesNamespaces(object));
  }

  classify(user: UserInfo, info: RequestInfo): Flow {
    let known = this.#users.get(user.name);
    if (!known || !sameGroups(known.groups, user.groups)) {
      this.#remember();
      this.#users.set(user.name, (known = { groups: user.groups, flows: new Map() }));
    }
    const key = this.#keyOf(info);
    let flow = known.flows.get(key);
    if (!flow) {
      flow = this.#find(user, info);
      if (key.length <= maxKeyLength) {
        this.#remember();
        known.flows.set(key, flow);
      }
    }
    return flow.byNamespace ? { schema: flow.schema, distinguisher: info.namespace } : flow;
  }

  #remember(): void {
    if (++this.#remembered < maxRemembered) return;
    this.#users.clear();
    this.#remembered = 0;
  }

  #keyOf(info: RequestInfo): string {
    if (!info.isResource) return `${info.verb} ${info.path}`;
    const namespace = this.#byNamespace || info.namespace === '' ? info.namespace : '*';
    return `${info.verb}|${info.group}/${info.resource}/${info.subresource}|${namespace}`;
  }

  #find(user: UserInfo, info: RequestInfo): FoundFlow {
    const matches = ({ object }: SchemaState): boolean =>
      (object.spec?.rules ?? []).some(
        (rules) => isSubject(rules.subjects, user) && matchesRequest(rules, info),
      );
    const schema = this.#schemas.find(matches) ?? this.#fallback;
    const method = schema.object.spec?.distinguisherMethod?.type;
    const distinguisher = method === 'ByUser' ? user.name : '';
    return { schema, distinguisher, byNamespace: method === 'ByNamespace' };
  }
}
