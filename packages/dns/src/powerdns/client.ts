/** PowerDNS refused, or did not answer; `message` has no key in it. */
export class PowerDnsError extends Error {
  override readonly name = 'PowerDnsError';
  /** Undefined: there was no answer. */
  readonly status: number | undefined;

  constructor(status: number | undefined, message: string) {
    super(message);
    this.status = status;
  }
}

/** A record set as the API has it. */
export interface ApiRRset {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly records: ReadonlyArray<{ readonly content: string; readonly disabled: boolean }>;
}

export interface ApiZone {
  readonly id: string;
  readonly name: string;
  readonly account: string;
  readonly serial: number;
  readonly rrsets?: readonly ApiRRset[];
}

const timeoutMs = 15_000;

/** Calls of one PowerDNS's HTTP API. */
export class PowerDnsClient {
  readonly #base: string;
  readonly #key: string;
  readonly #signal: AbortSignal;

  constructor(url: string, key: string, signal: AbortSignal) {
    this.#base = `${url.replace(/\/+$/, '')}/api/v1/servers/localhost/zones`;
    this.#key = key;
    this.#signal = signal;
  }

  async list(): Promise<ApiZone[]> {
    return (await this.#call('GET', '')) as ApiZone[];
  }

  /** Undefined: there is no such zone. */
  async get(id: string): Promise<ApiZone | undefined> {
    try {
      return (await this.#call('GET', `/${id}`)) as ApiZone;
    } catch (error) {
      if (error instanceof PowerDnsError && error.status === 404) return undefined;
      throw error;
    }
  }

  async create(zone: Record<string, unknown>): Promise<void> {
    await this.#call('POST', '?rrsets=false', zone);
  }

  async patch(id: string, rrsets: ReadonlyArray<Record<string, unknown>>): Promise<void> {
    await this.#call('PATCH', `/${id}`, { rrsets });
  }

  async remove(id: string): Promise<void> {
    await this.#call('DELETE', `/${id}`);
  }

  /** Secondaries of that PowerDNS are told. */
  async notify(id: string): Promise<void> {
    await this.#call('PUT', `/${id}/notify`);
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const what = `${method} ${this.#base}${path}`;
    let status: number;
    let text: string;
    try {
      const response = await fetch(this.#base + path, {
        method,
        headers: { 'x-api-key': this.#key, accept: 'application/json', 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(timeoutMs)]),
        redirect: 'error',
      });
      ({ status } = response);
      text = await response.text();
    } catch (error) {
      const cause =
        (error as Error).cause instanceof Error ? ((error as Error).cause as Error) : (error as Error);
      throw new PowerDnsError(undefined, `${what}: no answer: ${cause.message}`);
    }
    if (status === 401)
      throw new PowerDnsError(
        status,
        `${what}: PowerDNS does not know this key: compare engine.key with its api-key`,
      );
    if (status >= 400) throw new PowerDnsError(status, `${what}: ${status} ${reasonIn(text)}`);
    return text === '' ? undefined : JSON.parse(text);
  }
}

function reasonIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === 'string') return error.slice(0, 500);
  } catch {
    // Plain text, then.
  }
  return text.slice(0, 200);
}
