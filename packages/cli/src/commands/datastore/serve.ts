import { endpointName, openEndpoint, parseEndpoint } from '@cloudless/datastore/endpoint';
import { serveDatastore, type TlsFiles } from '@cloudless/datastore/server/serve';
import { formatMs, Progress } from '../../progress.ts';
import { UsageError } from '../../options.ts';

/** The flags as they are given. */
export interface ServeFlags {
  endpoint: string;
  listenAddress?: string;
  serverCertFile?: string;
  serverKeyFile?: string;
  trustedCaFile?: string;
  advertiseClientUrls?: string;
  metricsAddress?: string;
  quotaBytes?: string;
  autoCompaction?: string;
  commitWindow?: string;
}

const defaultAddress = '127.0.0.1:2379';

/** `cloudless datastore serve`: until a signal stops it, or the store fails. */
export async function serve(flags: ServeFlags): Promise<void> {
  const endpoint = parseEndpoint(flags.endpoint);
  const listen = addressOf('--listen-address', flags.listenAddress ?? defaultAddress);
  const tls = tlsOf(flags);
  const progress = new Progress();
  progress.step(`open ${endpointName(endpoint)}`);
  const store = await openEndpoint(endpoint);
  try {
    const { revision } = await store.status();
    progress.done(`revision ${revision}`);
    const server = await serveDatastore({ store, listen, ...(tls === undefined ? {} : { tls }) });
    try {
      progress.note(`ready in ${formatMs(progress.elapsedMs)}: the etcd v3 API at ${server.url}`);
      await Promise.race([stopSignal(), store.failed.then((error) => Promise.reject(error))]);
    } finally {
      await server.stop();
    }
  } finally {
    await store.close();
  }
}

function tlsOf({ serverCertFile, serverKeyFile, trustedCaFile }: ServeFlags): TlsFiles | undefined {
  if (serverCertFile === undefined && serverKeyFile === undefined) {
    if (trustedCaFile === undefined) return undefined;
    throw new UsageError('--trusted-ca-file needs TLS: give --server-cert-file and --server-key-file too');
  }
  if (serverCertFile === undefined || serverKeyFile === undefined)
    throw new UsageError('--server-cert-file and --server-key-file go together');
  return { certFile: serverCertFile, keyFile: serverKeyFile, trustedCaFile };
}

/** `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every address, `unix:///path`. */
export function addressOf(flag: string, text: string): { host: string; port: number } | { path: string } {
  const [, path] = /^unix:\/\/(\/.+)$/.exec(text) ?? [];
  if (path !== undefined) return { path };
  const [, bracketed, plain, digits] = /^(?:\[(.+)\]|([^:/]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535)
    throw new UsageError(`${flag} ${text}: expected HOST:PORT, [IPv6]:PORT or unix:///path`);
  const host = bracketed ?? plain ?? '';
  return { host: host === '' ? '::' : host, port };
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}
