import { core } from '@cloudless/kube/resources';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import type { PostStartHook } from '../server/options.ts';
import { ensure } from './ensure.ts';

const namespace = 'kube-system';
const name = 'extension-apiserver-authentication';

/** Whom components with ports of their own may believe. */
export interface AuthenticationInfo {
  /** PEM of the CAs of client certificates. */
  clientCa(): string;
  /** PEM of the CA of the proxy that names users in request headers (kubeadm's front-proxy CA); absent: none does. */
  requestHeaderCa?: (() => string) | undefined;
}

/** kubeadm's `--requestheader-*` flags. */
const requestHeaders = {
  'requestheader-allowed-names': '["front-proxy-client"]',
  'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
  'requestheader-group-headers': '["X-Remote-Group"]',
  'requestheader-uid-headers': '[]',
  'requestheader-username-headers': '["X-Remote-User"]',
};

/**
 * Publishes what components with HTTPS ports of their own (upstream's controller-manager and scheduler, aggregated API
 * servers) read to know their callers (upstream: pkg/controlplane/controller/clusterauthenticationtrust). Keys that
 * others put there are left alone.
 */
export const authenticationInfoHook = (info: AuthenticationInfo): PostStartHook => ({
  name: 'start-cluster-authentication-info-controller',
  async run({ client, signal }) {
    const ofProxy = info.requestHeaderCa && {
      ...requestHeaders,
      'requestheader-client-ca-file': info.requestHeaderCa(),
    };
    const data: Record<string, string> = { 'client-ca-file': info.clientCa(), ...ofProxy };
    const wanted: ConfigMap = { metadata: { name, namespace }, data };
    const found = await ensure(client, core.configmaps, wanted, signal);
    if (Object.keys(data).every((key) => found.data?.[key] === data[key])) return;
    await client.update(core.configmaps, { ...found, data: { ...found.data, ...data } }, { signal });
  },
});
