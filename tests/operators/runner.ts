/** Asks an API server, ours or upstream's, for what the cases say, and notes its answers. */
import { type Agent, request as httpsRequest } from 'node:https';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import type { Case, Sample, Step } from './cases/case.ts';

export interface Target {
  /** `https://127.0.0.1:6443` */
  readonly url: string;
  /** Holds the CA, and a client certificate if there is no token. */
  readonly agent: Agent;
  readonly token?: string | undefined;
}

type Json = Record<string, unknown>;

interface Answer {
  code: number;
  warnings: string[];
  body: Json;
}

/** What a server says to one step; what differs from run to run is left out. */
export interface Verdict {
  code: number;
  warnings?: string[];
  /** Of a refusal. */
  message?: string;
  causes?: unknown;
  /** Of what was accepted. */
  generation?: unknown;
  spec?: unknown;
  status?: unknown;
  columns?: unknown;
  cells?: unknown;
}

/** `{ [title of the case]: verdicts of its steps }` */
export type Verdicts = Record<string, Verdict[]>;

function ask(target: Target, method: string, path: string, body?: object, accept?: string): Promise<Answer> {
  const { url, agent, token } = target;
  const headers = {
    accept: accept ?? 'application/json',
    ...(body ? { 'content-type': 'application/json' } : {}),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(`${url}${path}`, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const warning = response.headers['warning'] ?? '';
        const warnings = [...warning.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map(
          ([, text]) => text as string,
        );
        const answer = JSON.parse(Buffer.concat(chunks).toString()) as Json;
        resolve({ code: response.statusCode as number, warnings, body: answer });
      });
    });
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

/** RFC 7386. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Json = typeof target === 'object' && !Array.isArray(target) ? { ...(target as Json) } : {};
  for (const [name, value] of Object.entries(patch as Json)) {
    if (value === null) delete result[name];
    else result[name] = merged(result[name], value);
  }
  return result;
}

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

function collection({ apiVersion, plural, namespaced }: Sample): string {
  return namespaced === false
    ? `/apis/${apiVersion}/${plural}`
    : `/apis/${apiVersion}/namespaces/default/${plural}`;
}

/** Creates a definition and waits until its kinds are served. Returns its conditions, and how long both took. */
export async function install(
  target: Target,
  definition: CustomResourceDefinition,
): Promise<{ code: number; conditions: unknown[]; createdMs: number; servedMs: number; body: object }> {
  const started = performance.now();
  const { code, body } = await ask(target, 'POST', definitions, definition);
  const createdMs = performance.now() - started;
  if (code !== 201) return { code, conditions: [], createdMs, servedMs: Number.NaN, body };
  const { group, names } = definition.spec;
  for (const version of definition.spec.versions.filter(({ served }) => served)) {
    const path = `/apis/${group}/${version.name}/${names.plural}`;
    // Upstream serves a little after it says so.
    while ((await ask(target, 'GET', path)).code !== 200)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const servedMs = performance.now() - started;
  const found = await ask(target, 'GET', `${definitions}/${definition.metadata?.name}`);
  const conditions = (found.body['status'] as { conditions: Json[] }).conditions.map(
    ({ type, status, reason, message }) => ({ type, status, reason, message }),
  );
  return { code, conditions, createdMs, servedMs, body };
}

interface Cause {
  reason: string;
  message: string;
  field: string;
}

/**
 * A refusal with its causes in one order: upstream goes over properties in the random order of Go's maps. The message of
 * several causes is them in brackets; of one that is not, nothing is taken away.
 */
function refusalOf({
  message,
  details,
}: {
  message: string;
  details?: { causes?: Cause[] };
}): Partial<Verdict> {
  const causes = details?.causes;
  if (!causes) return { message };
  const all = `[${causes.map((cause) => `${cause.field}: ${cause.message}`).join(', ')}]`;
  const key = ({ field, message: text }: Cause): string => `${field}\0${text}`;
  return {
    message: message.endsWith(all) ? `${message.slice(0, -all.length)}[…]` : message,
    causes: causes.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)),
  };
}

/** Names of the definitions in the OpenAPI document of a group version; empty when there is none. */
export async function publishedDefinitions(target: Target, groupVersion: string): Promise<string[]> {
  const { code, body } = await ask(target, 'GET', `/openapi/v3/apis/${groupVersion}`);
  if (code !== 200) return [];
  return Object.keys((body['components'] as { schemas: Json }).schemas);
}

function verdictOf({ code, warnings, body }: Answer): Verdict {
  const said = warnings.length > 0 ? { warnings } : {};
  if (code >= 400) return { code, ...said, ...refusalOf(body as { message: string }) };
  const { metadata, spec, status } = body as { metadata: Json; spec?: unknown; status?: unknown };
  const { generation } = metadata;
  return {
    code,
    ...said,
    ...(generation === undefined ? {} : { generation }),
    ...(spec === undefined ? {} : { spec }),
    ...(status === undefined ? {} : { status }),
  };
}

function tableOf({ code, body }: Answer): Verdict {
  const { columnDefinitions, rows } = body as {
    columnDefinitions: Array<{ name: string; type: string; format: string; priority: number }>;
    rows: Array<{ cells: unknown[] }>;
  };
  const aged = columnDefinitions.findIndex(({ name }) => name === 'Age');
  return {
    code,
    columns: columnDefinitions.map(({ name, type, format, priority }) => [name, type, format, priority]),
    cells: rows.map(({ cells }) => cells.filter((_cell, index) => index !== aged)),
  };
}

async function take(target: Target, sample: Sample, name: string, step: Step): Promise<Verdict> {
  const root = collection(sample);
  const item = `${root}/${name}`;
  switch (step.do) {
    case 'create': {
      const { apiVersion, kind, spec } = sample;
      const object = merged({ apiVersion, kind, metadata: { name }, spec }, step.with ?? {}) as object;
      return verdictOf(
        await ask(target, 'POST', `${root}?fieldValidation=${step.strict ? 'Strict' : 'Ignore'}`, object),
      );
    }
    case 'update':
    case 'status': {
      const { body } = await ask(target, 'GET', item);
      const path = step.do === 'status' ? `${item}/status` : item;
      return verdictOf(
        await ask(target, 'PUT', `${path}?fieldValidation=Ignore`, merged(body, step.with) as object),
      );
    }
    case 'scale': {
      const { code, body } = await ask(target, 'GET', `${item}/scale`);
      if (code !== 200) return verdictOf({ code, body, warnings: [] });
      const scaled = merged(body, { spec: { replicas: step.replicas } }) as object;
      const answer = verdictOf(await ask(target, 'PUT', `${item}/scale`, scaled));
      const { generation } = verdictOf(await ask(target, 'GET', item));
      return { ...answer, generation };
    }
    default:
      return tableOf(
        await ask(target, 'GET', item, undefined, 'application/json;as=Table;v=v1;g=meta.k8s.io'),
      );
  }
}

/** The verdicts of one case; its object is gone afterwards. */
export async function judge(target: Target, { of, steps }: Case, name: string): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const step of steps) verdicts.push(await take(target, of, name, step));
  await ask(target, 'DELETE', `${collection(of)}/${name}`);
  return verdicts;
}
