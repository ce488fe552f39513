import { type Case, changeSpec, create, createSpec, type Sample } from './case.ts';

const cluster: Sample = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Cluster',
  plural: 'clusters',
  spec: { instances: 3, storage: { size: '1Gi' } },
};
const backup: Sample = { ...cluster, kind: 'Backup', plural: 'backups', spec: { cluster: { name: 'db' } } };
const scheduled: Sample = {
  ...cluster,
  kind: 'ScheduledBackup',
  plural: 'scheduledbackups',
  spec: { cluster: { name: 'db' }, schedule: '0 0 0 * * *' },
};
const pooler: Sample = {
  ...cluster,
  kind: 'Pooler',
  plural: 'poolers',
  spec: { cluster: { name: 'db' }, pgbouncer: { poolMode: 'session' } },
};
const database: Sample = {
  ...cluster,
  kind: 'Database',
  plural: 'databases',
  spec: { cluster: { name: 'db' }, name: 'app', owner: 'app' },
};
const catalog: Sample = {
  ...cluster,
  kind: 'ImageCatalog',
  plural: 'imagecatalogs',
  spec: { images: [{ image: 'pg:16', major: 16 }] },
};
const publication: Sample = {
  ...cluster,
  kind: 'Publication',
  plural: 'publications',
  spec: { cluster: { name: 'db' }, dbname: 'app', name: 'all', target: { allTables: true } },
};

export const cases: readonly Case[] = [
  createSpec('a cluster gets its defaults', cluster),
  createSpec('a cluster that begins with a database', cluster, {
    bootstrap: { initdb: { database: 'app', owner: 'app', secret: { name: 's' } } },
    postgresql: { parameters: { max_connections: '200' }, synchronous: { method: 'any', number: 1 } },
    resources: { requests: { memory: '1Gi', cpu: 1 } },
    affinity: { topologyKey: 'zone' },
  }),
  createSpec('a cluster of a catalog', cluster, {
    imageCatalogRef: { apiGroup: 'postgresql.cnpg.io', kind: 'ImageCatalog', name: 'c', major: 16 },
  }),
  createSpec('a backup gets its defaults', backup),
  createSpec('a scheduled backup gets its defaults', scheduled),
  createSpec('a pooler gets its defaults', pooler),
  createSpec('a database gets its defaults', database),
  createSpec('a catalog', catalog),
  createSpec('a publication', publication),
  createSpec('unknown fields are dropped', cluster, { color: 1, storage: { color: 2 } }),
  {
    title: 'a strict creation names unknown fields',
    of: cluster,
    steps: [{ do: 'create', strict: true, with: { spec: { color: 1, storage: { color: 2 } } } }],
  },
  {
    title: 'a cluster is scaled',
    of: cluster,
    steps: [
      { do: 'create' },
      { do: 'status', with: { status: { instances: 2, selector: 'cnpg.io/cluster=db' } } },
      { do: 'scale', replicas: 5 },
      { do: 'scale', replicas: 0 },
    ],
  },
  { title: 'a pooler is scaled', of: pooler, steps: [{ do: 'create' }, { do: 'scale', replicas: 2 }] },
  {
    title: 'columns of clusters',
    of: cluster,
    steps: [
      { do: 'create' },
      {
        do: 'status',
        with: { status: { instances: 3, readyInstances: 2, phase: 'fine', currentPrimary: 'db-1' } },
      },
      { do: 'table' },
    ],
  },
  create('a cluster without spec', cluster, { spec: null }),
  createSpec('a cluster of no instances', cluster, { instances: 0 }),
  createSpec('a cluster of a text of instances', cluster, { instances: 'three' }),
  createSpec('a cluster with an image and a catalog', cluster, {
    imageName: 'pg:16',
    imageCatalogRef: { apiGroup: 'postgresql.cnpg.io', kind: 'ImageCatalog', name: 'c', major: 16 },
  }),
  createSpec('a cluster of a catalog of another group and kind', cluster, {
    imageCatalogRef: { apiGroup: 'example.com', kind: 'List', name: 'c', major: 16 },
  }),
  createSpec('a cluster with an unknown log level', cluster, { logLevel: 'loud' }),
  createSpec('a cluster whose backups are kept for an odd time', cluster, {
    backup: { retentionPolicy: '30 days' },
  }),
  createSpec('a cluster with a locale without its provider', cluster, {
    bootstrap: { initdb: { icuLocale: 'de-DE' } },
  }),
  createSpec('a cluster with the same selector twice', cluster, {
    podSelectorRefs: [
      { name: 'a', selector: {} },
      { name: 'a', selector: {} },
    ],
  }),
  changeSpec(
    'a cluster keeps its service account',
    cluster,
    { serviceAccountName: 'b' },
    { serviceAccountName: 'a' },
  ),
  createSpec('a backup by an unknown method', backup, { method: 'tar' }),
  changeSpec('a backup stays what it was', backup, { cluster: { name: 'other' } }),
  changeSpec('a scheduled backup keeps its cluster', scheduled, { cluster: { name: 'other' } }),
  createSpec('a pooler without cluster', pooler, { cluster: null }),
  createSpec('a database with a reserved name', database, { name: 'template0' }),
  changeSpec('a database keeps its name and cluster', database, { name: 'b', cluster: { name: 'c' } }),
  createSpec('a database with options that lack their provider', database, {
    builtinLocale: 'C',
    icuRules: 'x',
  }),
  createSpec('a catalog with a version twice', catalog, {
    images: [
      { image: 'pg:16', major: 16 },
      { image: 'pg:16b', major: 16 },
    ],
  }),
  createSpec('a catalog of nothing', catalog, { images: [] }),
  createSpec('a publication of all and some', publication, {
    target: { objects: [{ tablesInSchema: 'public' }] },
  }),
  createSpec('a publication of nothing', publication, { target: { allTables: null } }),
];
