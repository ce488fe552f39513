import { errors, StatusError } from '@cloudless/kube/status';
import type { UserInfo } from '@cloudless/kube/user';
import type { RequestAudit } from '../audit/event.ts';
import type { Entry } from '../cache/entry.ts';
import type { Served } from '../registry/catalogue.ts';
import type { ListParameters, ListResult } from '../registry/list.ts';
import type { StreamRequest } from '../streams/streams.ts';
import type { Body } from './body.ts';
import type { ParsedRequest } from './parse.ts';

/** One request, authenticated; from the wire or from a client in this process. */
export interface Call {
  readonly info: ParsedRequest;
  readonly user: UserInfo;
  readonly query: URLSearchParams;
  /** Read only when the verb needs it. */
  body(): Promise<Body | undefined> | Body | undefined;
  /** Media type of a PATCH, without parameters. */
  readonly patchMediaType?: string;
  /** Whose changes they are where the request names no `fieldManager`. */
  readonly userAgent: string;
  readonly signal: AbortSignal;
  /** Undefined when nothing of the request is audited. */
  readonly audit?: RequestAudit | undefined;
  warn(text: string): void;
}

/** What a request is answered with; how it is encoded is the caller's business. */
export type Result =
  | { type: 'entry'; code: number; served: Served; entry: Entry }
  | { type: 'object'; code: number; object: object }
  | { type: 'list'; served: Served; list: ListResult }
  | { type: 'watch'; served: Served; parameters: ListParameters }
  | { type: 'stream'; request: StreamRequest };

/** Upstream's answer to a path of no known resource while it may become one (WithNotFoundProtector). */
export const notYetServed = (): StatusError =>
  errors.unavailable(
    'the request has been made before all known HTTP paths have been installed, please try again',
  );

/** Upstream's answer to a path of an aggregated API that cannot be reached (kube-aggregator, handler_proxy.go). */
export const serviceUnavailable = (): StatusError => errors.unavailable('service unavailable');

/** Upstream's answer to a path of no known resource. */
export const notServed = (): StatusError =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
