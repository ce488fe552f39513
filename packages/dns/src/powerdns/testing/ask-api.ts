/** What an API answers. */
export interface ApiAnswer {
  readonly status: number;
  /** JSON as a value, anything else as text. */
  readonly body: unknown;
}

export interface ApiCall {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks PowerDNS's API, ours or the real one. A body that is text is sent as it is. */
export async function askApi(server: { url: string; key: string }, call: ApiCall): Promise<ApiAnswer> {
  const { method, path, body, headers } = call;
  const response = await fetch(server.url + path, {
    method,
    headers: { 'x-api-key': server.key, ...headers },
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return { status: response.status, body: isJson ? JSON.parse(text) : text };
}
