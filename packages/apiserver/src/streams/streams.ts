import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { errors, type StatusError } from '@cloudless/kube/status';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { UserInfo } from '@cloudless/kube/user';

/** A request to `pods/NAME/{log,exec,attach,portforward}`, already authenticated, authorized and admitted. */
export interface StreamRequest {
  user: UserInfo;
  namespace: string;
  name: string;
  subresource: 'log' | 'exec' | 'attach' | 'portforward';
  query: URLSearchParams;
  /** The pod as stored. */
  pod: Pod;
  signal: AbortSignal;
}

/** How the API server reaches kubelets. */
export interface KubeletEndpoint {
  host: string;
  port: number;
}

/**
 * The way from the API server to the kubelet of the pod's node. Both methods throw `StatusError` before the
 * first byte is written (unknown container, pod without a node, kubelet away: 502/503/504 naming the node).
 */
export interface Streams {
  /** `log`: a plain, possibly endless response. */
  respond(request: StreamRequest, incoming: IncomingMessage, response: ServerResponse): Promise<void>;
  /** `exec`, `attach`, `portforward`: an HTTP/1.1 upgrade, SPDY/3.1 or WebSocket (v4, v5). */
  upgrade(request: StreamRequest, incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
}

/** 400: the pod waits for the scheduler. */
export const withoutHost = (pod: string): StatusError =>
  errors.badRequest(`pod ${pod} does not have a host assigned`);
