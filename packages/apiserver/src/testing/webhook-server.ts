import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { WebhookClientConfig } from '@cloudless/kube/types/admissionregistration-v1';
import type { TestPki } from './test-server.ts';

/** What a webhook was asked. */
export interface Review {
  apiVersion: string;
  kind: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read what they expect
  request: Record<string, any>;
}

/** The `response` of an AdmissionReview; uid is filled in. Or a way to answer by hand. */
export type Answer =
  | Record<string, unknown>
  | ((review: Review, response: ServerResponse, request: IncomingMessage) => void);

export interface WebhookServer extends AsyncDisposable {
  readonly clientConfig: WebhookClientConfig;
  readonly port: number;
  /** In the order in which they came. */
  readonly reviews: Review[];
  /** Connections made so far. */
  readonly connections: number;
  /** What is answered from now on. */
  answer(answer: Answer | ((review: Review) => Answer)): void;
}

export const allow = { allowed: true };

/** A JSON patch as a webhook returns it. */
export const patchOf = (...operations: object[]): Record<string, unknown> => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A real HTTPS webhook on a free port of loopback. */
export async function startWebhookServer(pki: TestPki, path = '/review'): Promise<WebhookServer> {
  const reviews: Review[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  let choose: (review: Review) => Answer = () => allow;
  const server = createServer(pki.server, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Review;
      reviews.push(review);
      const answer = choose(review);
      if (typeof answer === 'function') return answer(review, response, request);
      const { apiVersion, kind } = review;
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ apiVersion, kind, response: { uid: review.request['uid'] as string, ...answer } }),
      );
    });
  });
  server.on('secureConnection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    clientConfig: { url: `https://127.0.0.1:${port}${path}`, caBundle: base64(pki.ca) },
    port,
    reviews,
    get connections() {
      return connections;
    },
    answer(answer) {
      choose = typeof answer === 'function' && answer.length <= 1 ? (answer as typeof choose) : () => answer;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
