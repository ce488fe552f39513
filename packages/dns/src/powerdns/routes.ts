import { ChangeRefusedError, type RecordKeeper } from '../update/change.ts';
import { printName } from '../wire/name.ts';
import { printData } from '../wire/rdata/data.ts';
import { typeName, typeNumber } from '../wire/types.ts';
import { printZone } from '../zone/text/print.ts';
import type { ServedZone, Zones } from '../zone/zones.ts';
import { ApiError, notFound, unprocessable } from './api-error.ts';
import { canonicalName, originOf, zoneId } from './names.ts';
import { readPatch } from './patch.ts';
import { cryptokeys, zoneDetail, zoneInfo } from './zone-view.ts';

/** What the API speaks of. */
export interface ApiSubject {
  readonly zones: Zones;
  readonly keeper: RecordKeeper;
  /** Tells secondaries of a zone again. */
  readonly notify: (origin: string) => void;
  readonly version: string;
}

export interface ApiRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  /** The JSON of the body; throws ApiError where it is none. */
  readonly body: () => unknown;
  /** Who asks, for the record. */
  readonly by: string;
}

export interface ApiResponse {
  readonly status: number;
  /** An object becomes JSON; text is sent as it is; undefined: nothing. */
  readonly body: unknown;
}

type Handler = (
  subject: ApiSubject,
  request: ApiRequest,
  parts: readonly string[],
) => ApiResponse | Promise<ApiResponse>;

const ok = (body: unknown): ApiResponse => ({ status: 200, body });
const result = (text: string): ApiResponse => ok({ result: text });
const server = '/api/v1/servers/localhost';
const oneZone = `${server}/zones/*`;

const zonesBelongToConfig =
  'Zones belong to the configuration here, and are not made, changed or deleted by this API: write the zone into the values (zones), or into a ConfigMap with the label dns.cloudless.dev/zones=true; its records can be changed here then';
/** Serials rise by themselves with each change. */
const soaEditApi = { kind: 'SOA-EDIT-API', metadata: ['DEFAULT'], type: 'Metadata' };
const noMetadata =
  'Metadata belongs to the configuration here: see transfers, updates and dnssec in the values';
const noKeys = 'Keys belong to the Secret dnssec-keys, and are made for each zone under dnssec in the values';

const refuse =
  (message: string): Handler =>
  () => {
    throw unprocessable(message);
  };

/** Handlers by path, then method; `*` stands for one part of a path. */
const routes: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  '/api': { GET: () => ok([{ url: '/api/v1', version: 1 }]) },
  '/api/v1': { GET: () => ok([{ api_features: [], server_url: '/api/v1/servers{/server}' }]) },
  '/api/v1/servers': { GET: (subject) => ok([serverView(subject)]) },
  [server]: { GET: (subject) => ok(serverView(subject)) },
  [`${server}/config`]: { GET: () => ok([]) },
  [`${server}/statistics`]: { GET: statistics },
  [`${server}/search-data`]: { GET: searchData },
  [`${server}/cache/flush`]: { PUT: () => ok({ count: 0, result: 'Flushed cache.' }) },
  [`${server}/zones`]: { GET: listZones, POST: createZone },
  [oneZone]: {
    GET: showZone,
    PATCH: patchZone,
    PUT: withZone(refuse(zonesBelongToConfig)),
    DELETE: withZone(refuse(zonesBelongToConfig)),
  },
  [`${oneZone}/notify`]: { PUT: notifyZone },
  [`${oneZone}/rectify`]: { PUT: withZone(() => result('Rectified')) },
  [`${oneZone}/axfr-retrieve`]: { PUT: withZone(retrieve) },
  [`${oneZone}/export`]: { GET: exportZone },
  [`${oneZone}/metadata`]: { GET: withZone(() => ok([soaEditApi])), POST: withZone(refuse(noMetadata)) },
  [`${oneZone}/metadata/*`]: {
    GET: withZone((_, __, parts) =>
      ok(parts[1] === soaEditApi.kind ? soaEditApi : { kind: parts[1], metadata: [], type: 'Metadata' }),
    ),
    PUT: withZone(refuse(noMetadata)),
    DELETE: withZone(refuse(noMetadata)),
  },
  [`${oneZone}/cryptokeys`]: {
    GET: (subject, _, parts) => ok(cryptokeys(zoneOf(subject, parts))),
    POST: withZone(refuse(noKeys)),
  },
  [`${oneZone}/cryptokeys/*`]: {
    GET: oneKey,
    PUT: withZone(refuse(noKeys)),
    DELETE: withZone(refuse(noKeys)),
  },
};

/** Answers one request; throws {@link ApiError}. */
export async function answerApi(subject: ApiSubject, request: ApiRequest): Promise<ApiResponse> {
  const match = matchOf(request.path.replace(/(?<=.)\/$/, ''));
  if (!match) throw notFound();
  const handler = match.methods[request.method === 'HEAD' ? 'GET' : request.method];
  if (!handler) throw new ApiError(405, 'Method Not Allowed');
  return handler(subject, request, match.parts);
}

function matchOf(path: string): { methods: Readonly<Record<string, Handler>>; parts: string[] } | undefined {
  const words = path.split('/');
  for (const [pattern, methods] of Object.entries(routes)) {
    const expected = pattern.split('/');
    if (expected.length !== words.length) continue;
    if (expected.every((part, i) => (part === '*' ? words[i] !== '' : part === words[i])))
      return { methods, parts: words.filter((_, i) => expected[i] === '*') };
  }
  return undefined;
}

function serverView({ version }: ApiSubject): Record<string, unknown> {
  return {
    autoprimaries_url: `${server}/autoprimaries{/autoprimary}`,
    config_url: `${server}/config{/config_setting}`,
    daemon_type: 'authoritative',
    id: 'localhost',
    type: 'Server',
    url: server,
    version,
    zones_url: `${server}/zones{/zone}`,
  };
}

function zoneOf({ zones }: ApiSubject, parts: readonly string[]): ServedZone {
  const origin = originOf(parts[0] ?? '');
  const served = origin === undefined ? undefined : zones.all.get(origin);
  if (!served) throw notFound();
  return served;
}

/** The handler, after the zone was found. */
function withZone(handler: Handler): Handler {
  return (subject, request, parts) => {
    zoneOf(subject, parts);
    return handler(subject, request, parts);
  };
}

function truth(request: ApiRequest, name: string, usual: boolean): boolean {
  const text = request.query.get(name);
  if (text === null) return usual;
  if (text === '1' || text.toLowerCase() === 'true') return true;
  if (text === '0' || text.toLowerCase() === 'false') return false;
  throw unprocessable(`'${name}' request parameter value '${text}' is not supported`);
}

function listZones(subject: ApiSubject, request: ApiRequest): ApiResponse {
  const isDnssecAsked = truth(request, 'dnssec', true);
  const name = request.query.get('zone');
  const all = [...subject.zones.all.values()];
  const origin = name === null ? undefined : canonicalName(name);
  const wanted = origin === undefined ? all : all.filter(({ zone }) => zone.origin === origin);
  return ok(wanted.map((served) => zoneInfo(served, isDnssecAsked)));
}

function createZone({ zones }: ApiSubject, request: ApiRequest): ApiResponse {
  const body = request.body() as { name?: unknown } | null;
  if (typeof body?.name !== 'string') throw unprocessable("Key 'name' not present or not a String");
  if (zones.all.has(canonicalName(body.name))) throw new ApiError(409, 'Conflict');
  throw unprocessable(zonesBelongToConfig);
}

function showZone(subject: ApiSubject, request: ApiRequest, parts: readonly string[]): ApiResponse {
  const served = zoneOf(subject, parts);
  const name = request.query.get('rrset_name');
  const typeText = request.query.get('rrset_type');
  const type = typeText === null ? undefined : typeNumber(typeText);
  if (typeText !== null && type === undefined) throw unprocessable(`Type '${typeText}' is unknown`);
  return ok(
    zoneDetail(served, {
      rrsets: truth(request, 'rrsets', true),
      name: name === null ? undefined : canonicalName(name),
      type: name === null ? undefined : type,
    }),
  );
}

async function patchZone(
  subject: ApiSubject,
  request: ApiRequest,
  parts: readonly string[],
): Promise<ApiResponse> {
  const { zone } = zoneOf(subject, parts);
  const changes = readPatch(request.body(), zone.origin);
  try {
    await subject.keeper.apply(zone.origin, changes, request.by);
  } catch (error) {
    if (!(error instanceof ChangeRefusedError)) throw error;
    const status = { conflict: 422, invalid: 422, 'not-found': 404, unavailable: 503 }[error.reason];
    throw new ApiError(status, error.message);
  }
  return { status: 204, body: undefined };
}

function notifyZone(subject: ApiSubject, _: ApiRequest, parts: readonly string[]): ApiResponse {
  const { zone, role } = zoneOf(subject, parts);
  if (role === 'secondary')
    throw unprocessable(`Domain '${printName(zone.origin)}' is held for another server, which notifies`);
  subject.notify(zone.origin);
  return result('Notification queued');
}

function retrieve(subject: ApiSubject, _: ApiRequest, parts: readonly string[]): ApiResponse {
  const { zone, role } = zoneOf(subject, parts);
  throw unprocessable(
    role === 'primary'
      ? `Domain '${printName(zone.origin)}' is not a secondary domain (or has no primary defined)`
      : `Domain '${printName(zone.origin)}' is transferred when its primary notifies, and as its SOA says`,
  );
}

function exportZone(subject: ApiSubject, request: ApiRequest, parts: readonly string[]): ApiResponse {
  const text = printZone(zoneOf(subject, parts).zone);
  return ok(request.accept.includes('application/json') ? { zone: text } : text);
}

function oneKey(subject: ApiSubject, _: ApiRequest, parts: readonly string[]): ApiResponse {
  const key = cryptokeys(zoneOf(subject, parts)).find(({ id }) => String(id) === parts[1]);
  if (!key) throw notFound();
  return ok(key);
}

function statistics({ zones }: ApiSubject, request: ApiRequest): ApiResponse {
  const values: Record<string, number> = {
    uptime: Math.floor(process.uptime()),
    zones: zones.all.size,
    records: [...zones.all.values()].reduce((sum, { zone }) => sum + zone.recordCount, 0),
    'real-memory-usage': process.memoryUsage.rss(),
  };
  const wanted = request.query.get('statistic');
  if (wanted !== null && !Object.hasOwn(values, wanted)) throw unprocessable('Unknown statistic name');
  return ok(
    Object.entries(values)
      .filter(([name]) => wanted === null || name === wanted)
      .map(([name, value]) => ({ name, type: 'StatisticItem', value: String(value) })),
  );
}

/** `*` any text, `?` one character (PowerDNS: SimpleMatch). */
function patternOf(text: string): RegExp {
  const escaped = text
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`, 'i');
}

function searchData({ zones }: ApiSubject, request: ApiRequest): ApiResponse {
  const q = request.query.get('q') ?? '';
  if (q === '') throw unprocessable("Query q can't be blank");
  if (q.length > 255 || (q.match(/\*+/g)?.length ?? 0) > 8) throw unprocessable('Query q is too long');
  const max = Number(request.query.get('max') ?? 100);
  if (!Number.isInteger(max)) throw unprocessable('Invalid value for maximum entries');
  if (max < 1) throw unprocessable('Maximum entries must be larger than 0');
  const type = request.query.get('object_type') ?? 'all';
  if (!['all', 'zone', 'record', 'comment'].includes(type))
    throw unprocessable('object_type must be one of the following options: all, zone, record, comment');
  const pattern = patternOf(q);
  const found: Array<Record<string, unknown>> = [];
  for (const { zone } of zones.all.values()) {
    const place = { zone_id: zoneId(zone.origin) };
    const zoneName = printName(zone.origin);
    if ((type === 'all' || type === 'zone') && (pattern.test(zone.origin) || pattern.test(zoneName)))
      found.push({ name: zoneName, object_type: 'zone', ...place });
    if (type !== 'all' && type !== 'record') continue;
    for (const rrset of zone.rrsets()) {
      const isName = pattern.test(rrset.name) || pattern.test(printName(rrset.name));
      for (const data of rrset.data) {
        if (found.length >= max) return ok(found.slice(0, max));
        const content = printData(rrset.type, data);
        if (!isName && !pattern.test(content)) continue;
        found.push({
          content,
          disabled: false,
          name: printName(rrset.name),
          object_type: 'record',
          ttl: rrset.ttlSeconds,
          type: typeName(rrset.type),
          zone: zoneName,
          ...place,
        });
      }
    }
  }
  return ok(found.slice(0, max));
}
