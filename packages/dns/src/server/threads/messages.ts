import type { ThreadSettings } from '../../authoritative/thread.ts';
import type { ZoneSnapshot } from '../../zone/registry.ts';
import type { LoggedQuery, ServerCertificate } from '../dns-server.ts';
import type { AccessRules, Peer, RateLimit } from '../request.ts';
import type { CookieSecrets } from '../limits/cookies.ts';

/** What every serving thread starts with. */
export interface ServingThreadData {
  readonly settings: ThreadSettings;
  readonly zones: ReadonlyArray<readonly [origin: string, snapshot: ZoneSnapshot]>;
  /** One Int32: 1, ready. */
  readonly readyFlag: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** One Int32: the number of the last `settle` that was heard. */
  readonly settled: SharedArrayBuffer;
  readonly logsQueries: boolean;
}

export interface UdpThreadData extends ServingThreadData {
  /** Bound sockets of the main thread; none: the thread binds `addresses` itself, through Node. */
  readonly fds: readonly number[];
  readonly addresses: readonly string[];
  readonly port: number;
}

export interface StreamThreadData extends ServingThreadData {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly tls: (ServerCertificate & { readonly port: number }) | undefined;
}

/** What the main thread tells. */
export type ThreadCommand =
  | { readonly kind: 'zone'; readonly origin: string; readonly snapshot: ZoneSnapshot | undefined }
  | { readonly kind: 'limits'; readonly access: AccessRules; readonly rateLimit: RateLimit }
  | { readonly kind: 'cookies'; readonly secrets: CookieSecrets }
  | { readonly kind: 'logQueries'; readonly isOn: boolean }
  | { readonly kind: 'certificate'; readonly certificate: ServerCertificate }
  /** Says that all that was told before is in force. */
  | { readonly kind: 'settle'; readonly number: number }
  /** One message of an answer to a request; undefined: there are no more. */
  | { readonly kind: 'answer'; readonly request: number; readonly message: Uint8Array | undefined }
  /** For threads on Node's own loop; others have a flag. */
  | { readonly kind: 'stop' };

/** What a thread tells. */
export type ThreadReport =
  | { readonly kind: 'listening'; readonly port: number; readonly tlsPort: number | undefined }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
  | { readonly kind: 'request'; readonly request: number; readonly message: Uint8Array; readonly peer: Peer }
  /** The message of the answer before was taken: the next one may come. */
  | { readonly kind: 'taken'; readonly request: number }
  /** Nobody waits for the answer any more. */
  | { readonly kind: 'gone'; readonly request: number }
  | { readonly kind: 'queries'; readonly queries: readonly LoggedQuery[]; readonly omitted: number }
  /** A mistake in this program: the client got SERVFAIL. */
  | { readonly kind: 'problem'; readonly problem: string }
  | { readonly kind: 'stopped' };
