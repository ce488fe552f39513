import { connect } from 'node:http2';
import type { Send } from './field-scripts.ts';

/** Sends requests as they are, over one HTTP/2 connection. */
export function httpsSender(
  url: string,
  tls: { ca: string; cert: string; key: string },
): { send: Send; close(): void } {
  const session = connect(url, tls);
  const send: Send = ({ method, path, contentType, body }) =>
    new Promise((resolve, reject) => {
      const headers = {
        ':method': method,
        ':path': path,
        'user-agent': 'scripts/1.0 (any) text',
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
      };
      const stream = session.request(headers, { endStream: body === undefined });
      const chunks: Buffer[] = [];
      let code = 0;
      stream.on('response', (received) => (code = Number(received[':status'])));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        // A path of no resource is answered in plain text.
        resolve({ code, body: text.startsWith('{') ? (JSON.parse(text) as object) : {} });
      });
      if (body !== undefined) stream.end(body);
    });
  return { send, close: () => session.close() };
}
