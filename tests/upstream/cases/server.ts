import { groupVersions } from '../../../packages/kube/src/schema/catalogue.ts';
import type { Case } from '../case.ts';

/** Discovery, documents and paths that belong to no kind. */
export function serverCases(): Case[] {
  const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Case => ({
    name: `${method} ${path}${headers['accept'] ? ` as ${headers['accept'].slice(0, 60)}` : ''}`,
    family: 'server',
    kind: 'server',
    asks: [{ method, path, headers }],
  });
  const versions = groupVersions.filter(({ served }) => served);
  return [
    ...[
      '/api',
      '/apis',
      '/',
      '/version',
      '/healthz',
      '/livez',
      '/readyz',
      '/openapi/v3',
      '/api/',
      '/apis/',
    ].map((path) => get(path)),
    ...['/api', '/apis'].map((path) => get(path, { accept: aggregated })),
    ...versions.map(({ group, apiVersion }) =>
      get(group === '' ? `/api/${apiVersion}` : `/apis/${apiVersion}`),
    ),
    ...versions.filter(({ group }) => group !== '').map(({ group }) => get(`/apis/${group}`)),
    ...[
      '/nothing',
      '/api/v2',
      '/api/v1/nothing',
      '/api/v1/nothings/a',
      '/api/v1/namespaces/default/nothings',
      '/apis/nothing.example.com',
      '/apis/nothing.example.com/v1',
      '/apis/nothing.example.com/v1/things',
      '/apis/apps/v9',
      '/apis/apps/v9/deployments',
      '/apis/apps/v1/nothings',
      '/api/v1/pods/a',
      '/api/v1/namespaces/default/nodes',
      '/api/v1/namespaces/default/pods/a/b/c/d',
      '/api/v1/watch/namespaces/default/nothings',
      '/apis/apps/v1/namespaces/default/deployments/sample/scale',
      '/api/v1//pods',
      '/api/v1/pods/',
      '/api/v1/namespaces//pods',
      '/healthz/nothing',
      '/readyz?verbose',
      '/livez?exclude=nothing',
      '/openid/v1/jwks/x',
      '/logs',
      '/debug/nothing',
    ].map((path) => get(path)),
    ...['POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE', 'BREW'].flatMap((method) => [
      get('/api', {}, method),
      get('/api/v1', {}, method),
      get('/version', {}, method),
      get('/nothing', {}, method),
      get('/api/v1/namespaces/default/pods', {}, method),
    ]),
  ];
}
