import type { ExternalDnsConfig, IncludedText, SourceName, ZoneText } from '../external/config.ts';
import type { TsigKey } from '../transfer/keys.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import { checkKeys } from './misplaced.ts';
import { networkOf, permissionOf, refuseOthers, remoteOf } from './network.ts';
import { readPdnsSettings } from './pdns-settings.ts';
import { readServices, type Services } from './service.ts';
import { readTsigKeys, tsigKeysSecret } from './tsig-keys.ts';
import { Findings, orList, quoted, readYaml, type Value } from './value.ts';
import { zoneName } from './zone-name.ts';
import { zoneTexts } from './zone-texts.ts';

/** Secrets of the cluster, which count before those that the text has. */
export interface ValuesSecrets {
  /** The text under `key` of the Secret `name`, beside the values; undefined: there is none. */
  readonly secret?: ((name: string, key: string) => string | undefined) | undefined;
  readonly tsigKeys?: readonly TsigKey[] | undefined;
}

/** In the Secret of the API's key: X-API-Key of the PowerDNS that is fed (`engine`). */
export const engineKeyField = 'engine-key';

export interface ParsedValues {
  readonly config: ExternalDnsConfig;
  readonly service: Services;
  /** The Secret in which the API's key is looked for, in the namespace of the values; not ours: somebody else makes it. */
  readonly apiKeySecret: { readonly name: string; readonly key: string; readonly isOurs: boolean };
  /** Secrets that the text speaks of, whether it has their content or that was moved into them. */
  readonly secretNames: readonly string[];
  /** Secrets that stand in the text, as they would be kept in Secrets. */
  readonly plainSecrets: {
    readonly apiKey: string | undefined;
    readonly tsigKeys: Readonly<Record<string, string>>;
    readonly engineKey: string | undefined;
  };
  /** What is accepted and has no effect, or another one than may be thought. */
  readonly warnings: readonly ZoneProblem[];
}

const sourceNames: readonly SourceName[] = [
  'service',
  'ingress',
  'node',
  'crd',
  'gateway-httproute',
  'gateway-grpcroute',
  'gateway-tlsroute',
  'gateway-tcproute',
  'gateway-udproute',
];
/** external-dns's other sources (pkg/apis/externaldns/types.go), of kinds that nothing here reads. */
const foreignSources =
  /^(pod|fake|connector|unstructured|istio-(gateway|virtualservice)|contour-httpproxy|contour-ingressroute|gloo-proxy|ambassador-host|openshift-route|skipper-routegroup|kong-tcpingress|f5-(virtualserver|transportserver)|traefik-proxy|cloudfoundry|empty)$/;

/** Types of derived records when the values name none: what external-dns knows, and what else a DNSEndpoint may hold. */
const allRecordTypes =
  'A AAAA CNAME NS TXT MX SRV PTR NAPTR CAA TLSA SSHFP SVCB HTTPS DS DNAME LOC HINFO RP URI SMIMEA OPENPGPKEY'.split(
    ' ',
  );

/** What is not said counts as this. */
export const defaults = {
  sources: ['crd', 'ingress', 'service'],
  defaultTtlSeconds: 300,
  access: { allow: ['0.0.0.0/0', '::/0'], deny: [] },
  /** A resolver of many people asks one name again when its TTL is over, not a hundred times in a second. */
  rateLimit: {
    responsesPerSecond: 100,
    errorsPerSecond: 100,
    slip: 2,
    ipv4PrefixLength: 24,
    ipv6PrefixLength: 56,
    exempt: ['127.0.0.0/8', '::1/128'],
  },
} as const;

/**
 * Reads the values of the stateless-dns chart, with our own keys (vocabulary.ts): what they configure and the Services they
 * ask for, or everything that is wrong, each with its line and the remedy. `source` names the text in problems. Zones are
 * taken as they are written: their own lines are judged by the one who reads zones.
 */
export function parseValues(
  text: string,
  source: string,
  secrets: ValuesSecrets = {},
): ParsedValues | { readonly problems: readonly ZoneProblem[] } {
  const findings = new Findings(source);
  const root = readYaml(text, findings);
  if (root?.isSet && !root.isMap)
    findings.add('error', 1, 'values: expected keys such as zones, service and pdns at the left margin');
  if (!root || findings.hasErrors) return { problems: findings.problems };
  checkKeys(root, findings);
  const parsed = readAll(root, secrets);
  const warnings = inOrder(findings.problems);
  return findings.hasErrors ? { problems: warnings } : { ...parsed, warnings };
}

function inOrder(problems: readonly ZoneProblem[]): ZoneProblem[] {
  return problems.toSorted((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0));
}

function readAll(root: Value, secrets: ValuesSecrets): Omit<ParsedValues, 'warnings'> {
  const pdns = root.at('pdns');
  const settings = readPdnsSettings(pdns);
  const tsig = readTsigKeys(root.at('tsigKeys'));
  const apiKeySecret = pdns.at('apiKeySecret');
  const plainKey = plainApiKey(apiKeySecret);
  const reference = {
    name: nonEmpty(apiKeySecret.at('name')) ?? 'api-key',
    key: nonEmpty(apiKeySecret.at('key')) ?? 'api-key',
  };
  const secret = (key: string): string | undefined => secrets.secret?.(reference.name, key);
  const engine = readEngine(root.at('engine'), secret(engineKeyField));
  const apiKey = secret(reference.key) ?? plainKey;
  const isApiOff = root.at('service').at('api').at('enabled').boolean() === false;
  const externalDNS = root.at('externalDNS');
  const service = readServices(root.at('service'));
  const transfers = root.at('transfers');
  return {
    config: {
      zones: readZones(root.at('zones')),
      ...readSources(externalDNS),
      transfers: {
        allow: [
          ...transfers
            .at('allow')
            .items()
            .flatMap((item) => permissionOf(item) ?? []),
          ...settings.transferFrom,
        ],
        notify: [
          ...transfers
            .at('notify')
            .items()
            .flatMap((item) => remoteOf(item) ?? []),
          ...settings.notify,
        ],
      },
      secondaries: readSecondaries(root.at('secondaries')),
      updates: {
        allow: [
          ...root
            .at('updates')
            .at('allow')
            .items()
            .flatMap((item) => permissionOf(item) ?? []),
          ...settings.updateFrom,
        ],
      },
      tsigKeys: merged(tsig.keys, secrets.tsigKeys ?? []),
      dnssec: readDnssec(root.at('dnssec')),
      access: readAccess(root.at('access')),
      rateLimit: readRateLimit(root.at('rateLimit')),
      api: apiKey === undefined || isApiOff ? undefined : { key: apiKey },
      engine: engine.engine,
    },
    service,
    apiKeySecret: { ...reference, isOurs: apiKeySecret.at('create').boolean() ?? true },
    secretNames: [
      ...(apiKeySecret.isSet || root.at('engine').isMap ? [reference.name] : []),
      ...(root.at('tsigKeys').isSet ? [tsigKeysSecret] : []),
    ],
    plainSecrets: { apiKey: plainKey, tsigKeys: tsig.plain, engineKey: engine.plainKey },
  };
}

function merged(mine: readonly TsigKey[], theirs: readonly TsigKey[]): TsigKey[] {
  return [...mine.filter(({ name }) => !theirs.some((key) => key.name === name)), ...theirs];
}

function nonEmpty(value: Value): string | undefined {
  const text = value.text()?.trim();
  return text === '' ? undefined : text;
}

/** The key that the text itself has; valueBase64 counts first, as in the chart's templates. */
function plainApiKey(secret: Value): string | undefined {
  const isMade = secret.at('create').boolean() ?? true;
  const base64 = nonEmpty(secret.at('valueBase64'));
  const plain = nonEmpty(secret.at('valuePlain'));
  if (!isMade) {
    if (nonEmpty(secret.at('name')) === undefined)
      secret.at('create').error('false means a Secret of yours: name it with pdns.apiKeySecret.name');
    return undefined;
  }
  if (base64 === undefined) return plain;
  const bytes = Buffer.from(base64, 'base64');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || bytes.length === 0)
    return secret.at('valueBase64').error('is no base64');
  return bytes.toString('utf8').trim();
}

function readZones(zones: Value): ZoneText[] {
  const texts = new Map<string, IncludedText>();
  for (const { key, value } of zones.entries()) {
    const block = value.block();
    if (!block && !value.isSet)
      value.error('the zone has no text: write `|` after the colon and its records below');
    if (block) texts.set(key, block);
  }
  const { zones: read, problems } = zoneTexts(texts);
  for (const { key, message } of problems) zones.at(key).error(message);
  return read;
}

function readSources(
  value: Value,
): Pick<
  ExternalDnsConfig,
  'sources' | 'policy' | 'managedRecordTypes' | 'annotationFilter' | 'labelFilter' | 'defaultTtlSeconds'
> {
  const policy = value.at('policy').word(['sync', 'upsert-only', 'create-only'] as const) ?? 'sync';
  if (policy === 'create-only')
    value
      .at('policy')
      .error('create-only is not there: records always follow their object; leave it out, or write sync');
  if (policy === 'upsert-only')
    value
      .at('policy')
      .warning(
        'no effect: records go with their object here; what is to stay belongs into a zone or a DNSEndpoint',
      );
  const types = value.at('managedRecordTypes');
  return {
    sources: value.at('sources').isSet ? sourcesIn(value.at('sources')) : defaults.sources,
    policy: policy === 'upsert-only' ? 'upsert-only' : 'sync',
    managedRecordTypes: types.isSet
      ? types.texts().flatMap((type) => {
          if (/^[A-Z][A-Z0-9-]*$/.test(type)) return [type];
          types.error(`${quoted(type)} is no type of records`);
          return [];
        })
      : allRecordTypes,
    annotationFilter: nonEmpty(value.at('annotationFilter')),
    labelFilter: nonEmpty(value.at('labelFilter')),
    defaultTtlSeconds: value.at('defaultTtlSeconds').integer(0, 2_147_483_647) ?? defaults.defaultTtlSeconds,
  };
}

function sourcesIn(value: Value): SourceName[] {
  const sources = value.items().flatMap((item) => {
    const name = item.text() as SourceName | undefined;
    if (name === undefined) return [];
    if (sourceNames.includes(name)) return [name];
    if (foreignSources.test(name))
      item.warning(
        `no effect: ${name} is a source of external-dns that nothing here reads; those read are ${sourceNames.join(', ')}`,
      );
    else item.error(`${quoted(name)} is no source: expected ${orList(sourceNames)}`);
    return [];
  });
  return [...new Set(sources)];
}

function readSecondaries(value: Value): ExternalDnsConfig['secondaries'] {
  return new Map(
    value.entries().flatMap(({ key, value: one }) => {
      const origin = zoneName(key);
      if (origin === undefined) one.error(`${quoted(key)} is no name of a zone`);
      const primaries = one
        .at('primaries')
        .items()
        .flatMap((item) => remoteOf(item) ?? []);
      if (!one.at('primaries').isSet) one.error('expected primaries: the servers to transfer the zone from');
      return origin === undefined ? [] : [[origin, { primaries }]];
    }),
  );
}

function readDnssec(value: Value): ExternalDnsConfig['dnssec'] {
  const signed = value.isMap
    ? value.entries().map(({ key, value: one }) => ({ key, one }))
    : value.items().flatMap((one) => ({ key: one.text() ?? '', one }));
  return new Map(
    signed.flatMap(({ key, one }) => {
      const origin = zoneName(key);
      if (origin === undefined) one.error(`${quoted(key)} is no name of a zone`);
      if (value.isMap && !one.isMap && one.isSet && one.boolean() !== true) return [];
      const denial = one.at('denial').word(['compact', 'nsec3'] as const) ?? ('compact' as const);
      const cds = one.at('cds').word(['publish', 'delete', 'none'] as const);
      return origin === undefined ? [] : [[origin, { denial, ...(cds && { cds }) }] as const];
    }),
  );
}

function readAccess(value: Value): ExternalDnsConfig['access'] {
  const networks = (key: string, usual: readonly string[]): readonly string[] =>
    value.at(key).isSet
      ? value
          .at(key)
          .items()
          .flatMap((item) => networkOf(item) ?? [])
      : usual;
  return {
    allow: networks('allow', defaults.access.allow),
    deny: networks('deny', defaults.access.deny),
  };
}

function readRateLimit(value: Value): ExternalDnsConfig['rateLimit'] {
  const usual = defaults.rateLimit;
  const isOn = value.isMap ? value.at('enabled').boolean() : value.boolean();
  const off = isOn === false;
  const at = (key: keyof typeof usual, most: number): number =>
    value.at(key).integer(0, most) ?? (usual[key] as number);
  return {
    responsesPerSecond: off ? 0 : at('responsesPerSecond', 1_000_000),
    errorsPerSecond: off ? 0 : at('errorsPerSecond', 1_000_000),
    slip: at('slip', 1000),
    ipv4PrefixLength: at('ipv4PrefixLength', 32),
    ipv6PrefixLength: at('ipv6PrefixLength', 128),
    exempt: value.at('exempt').isSet
      ? value
          .at('exempt')
          .items()
          .flatMap((item) => networkOf(item) ?? [])
      : usual.exempt,
  };
}

function readEngine(
  value: Value,
  secret: string | undefined,
): { engine: ExternalDnsConfig['engine']; plainKey: string | undefined } {
  const own = { engine: { name: 'own' as const }, plainKey: undefined };
  const name = (value.isMap ? value.at('name') : value).word(['own', 'powerdns'] as const) ?? 'own';
  if (name === 'own') return own;
  refuseOthers(value, ['name', 'url', 'key']);
  const url = nonEmpty(value.at('url'));
  const plainKey = nonEmpty(value.at('key'));
  const key = secret ?? plainKey;
  if (url === undefined || !URL.canParse(url) || !/^https?:/.test(url)) {
    value.error("powerdns needs engine.url, the address of PowerDNS's webserver: http://192.0.2.53:8081");
    return own;
  }
  if (key === undefined) {
    value.error(
      "powerdns needs its API's key: engine.key, or the key engine-key in the Secret that has the API's key",
    );
    return own;
  }
  return { engine: { name, url, key }, plainKey };
}
