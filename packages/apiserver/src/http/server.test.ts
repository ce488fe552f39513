import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import {
  connect,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { connect as tlsConnect } from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { decodeProtobuf, encodeProtobuf } from '@cloudless/kube/codec/protobuf';
import { readWatchFrames } from '@cloudless/kube/codec/protobuf-watch';
import { parseYaml } from '@cloudless/kube/codec/yaml';
import { systemClock } from '@cloudless/kube/clock';
import { core } from '@cloudless/kube/resources';
import { makePki, startTestServer, type TestServer } from '../testing/test-server.ts';

/** Some JSON. */
interface Doc {
  readonly [key: string]: Doc;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  json(): Doc;
}
interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

const answerOf = (status: number, headers: Answer['headers'], body: Buffer): Answer => ({
  status,
  headers,
  body,
  json: () => JSON.parse(body.toString('utf8')) as Doc,
});
const messageOf = (answer: Answer): string => (answer.json() as unknown as { message: string }).message;
const cm = (name: string, data: object = {}) =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
const json = { 'content-type': 'application/json' };
const configmaps = '/api/v1/namespaces/default/configmaps';

describe('the TLS port', () => {
  let test: TestServer;
  let session: ClientHttp2Session;
  before(async () => {
    test = await startTestServer({
      streams: {
        respond: async (_request, _incoming, response) => void response.end('a log\n'),
        upgrade: async ({ subresource, query }, _incoming, socket) => {
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
          );
          socket.end(`${subresource} ${query.get('command') ?? ''}`);
        },
      },
    });
    const { pki } = test;
    session = connect(test.url, { ca: pki.ca, ...pki.admin });
  });
  after(async () => {
    session.close();
    await test[Symbol.asyncDispose]();
  });

  const h2 = (path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path, ':method': method, ...headers });
      const chunks: Buffer[] = [];
      let got: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
      stream.on('response', (response) => (got = response));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => resolve(answerOf(Number(got[':status']), got, Buffer.concat(chunks))));
      stream.on('error', reject);
      stream.end(body);
    });
  const h1 = (path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { pki } = test;
      const request = httpsRequest(`${test.url}${path}`, {
        method,
        headers,
        ca: pki.ca,
        ...pki.admin,
        agent: false,
      });
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve(answerOf(response.statusCode ?? 0, response.headers, Buffer.concat(chunks))),
        );
      });
      request.on('error', reject);
      request.end(body);
    });

  it('serves OpenAPI compressed or not, by tag, and for good by hash', async () => {
    const index = await h2('/openapi/v3');
    const { paths } = index.json() as unknown as { paths: Record<string, { serverRelativeURL: string }> };
    const url = paths['apis/batch/v1']?.serverRelativeURL ?? '';
    const whole = await h2(url);
    assert.equal(whole.headers['cache-control'], 'public, immutable');
    assert.equal(whole.headers['content-encoding'], undefined);
    const packed = await h2(url, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.deepEqual(gunzipSync(packed.body), whole.body);
    const etag = String(whole.headers['etag']);
    const known = await h2(url, { headers: { 'if-none-match': `"other", ${etag}` } });
    assert.deepEqual([known.status, known.body.length, known.headers['etag']], [304, 0, etag]);
    const stale = await h2(url.replace(/hash=.*/, 'hash=0'));
    assert.deepEqual([stale.status, stale.headers['location']], [301, url]);
    const refused = await h2('/openapi/v2', { headers: { accept: 'text/html' } });
    assert.equal(refused.status, 406);
    const [, path = ''] = /^(.*)\?/.exec(url) ?? [];
    assert.equal((await h2(path)).headers['cache-control'], 'no-cache, private');
  });

  it('speaks HTTP/2 and HTTP/1.1 alike', async () => {
    const made = await h2(configmaps, { method: 'POST', headers: json, body: cm('both', { a: '1' }) });
    assert.equal(made.status, 201);
    const again = await h1(`${configmaps}/both`);
    assert.equal(again.status, 200);
    assert.deepEqual(again.json(), made.json());
    assert.ok(again.headers['audit-id']);
    const head = await h1(`${configmaps}/both`, { method: 'HEAD' });
    assert.equal(head.body.length, 0);
    assert.equal(head.status, 405);
  });

  it('answers in JSON, YAML, protobuf, as Table and as metadata', async () => {
    await h2(configmaps, { method: 'POST', headers: json, body: cm('forms', { a: '1' }) });
    const ask = async (accept: string, path = `${configmaps}/forms`) =>
      await h2(path, { headers: { accept } });
    const yaml = await ask('application/yaml');
    assert.deepEqual((parseYaml(yaml.body.toString()) as Doc)['data'], { a: '1' });
    const protobuf = await ask('application/vnd.kubernetes.protobuf,application/json');
    assert.equal(protobuf.headers['content-type'], 'application/vnd.kubernetes.protobuf');
    assert.deepEqual((decodeProtobuf(protobuf.body) as Doc)['data'], { a: '1' });
    const list = await ask('application/vnd.kubernetes.protobuf', configmaps);
    const decoded = decodeProtobuf(list.body) as Doc;
    assert.equal(decoded['kind'], 'ConfigMapList');
    assert.ok((decoded['items'] as unknown as unknown[]).length > 0);
    const table = (
      await ask('application/json;as=Table;v=v1;g=meta.k8s.io,application/json', configmaps)
    ).json();
    assert.equal(table['kind'], 'Table');
    assert.equal(table['columnDefinitions']?.[0]?.['name'], 'Name');
    assert.equal(table['rows']?.[0]?.['object']?.['kind'], 'PartialObjectMetadata');
    const partial = (
      await ask('application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io', configmaps)
    ).json();
    assert.equal(partial['kind'], 'PartialObjectMetadataList');
    assert.equal(partial['items']?.[0]?.['data'], undefined);
    const none = await ask('text/html');
    assert.equal(none.status, 406);
    assert.match(messageOf(none), /^406: Not Acceptable\n\nAvailable representations: application\/json/);
    const items = (await ask('application/json', configmaps)).json()['items'] as unknown as Array<
      Record<string, unknown>
    >;
    assert.ok(items.every((item) => item['kind'] === undefined && item['apiVersion'] === undefined));
  });

  it('reads JSON, YAML and protobuf, and refuses the rest clearly', async () => {
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'by-protobuf' },
      data: { a: 'b' },
    };
    const send = (type: string, body: string | Uint8Array) =>
      h2(configmaps, { method: 'POST', headers: { 'content-type': type }, body });
    assert.equal((await send('application/vnd.kubernetes.protobuf', encodeProtobuf(object))).status, 201);
    assert.equal((await send('application/yaml', 'metadata: {name: by-yaml}\ndata: {a: b}\n')).status, 201);
    const unknown = await send('text/plain', 'x');
    assert.equal(unknown.status, 415);
    const bad: Array<[string, string, number, RegExp]> = [
      ['application/json', '{"metadata":{', 400, /couldn't get version\/kind; json parse error: /],
      ['application/json', '[]', 400, /json parse error|error converting YAML|expected an object/],
      [
        'application/json',
        cm('typed').replace('{}', '{"a":1}'),
        400,
        /ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap\.data of type string/,
      ],
      [
        'application/json',
        '{"apiVersion":"v2","kind":"ConfigMap"}',
        400,
        /no kind "ConfigMap" is registered for version "v2"/,
      ],
      [
        'application/json',
        '{"apiVersion":"v1","kind":"Pod"}',
        400,
        /Pod in version "v1" cannot be handled as a ConfigMap/,
      ],
      ['application/yaml', 'a: [', 400, /unrecognized \(must be of type ConfigMap\): yaml: line 1/],
      ['application/vnd.kubernetes.protobuf', 'nonsense', 400, /./],
    ];
    for (const [type, body, status, text] of bad) {
      const answer = await send(type, body);
      assert.equal(answer.status, status, `${body}: ${answer.body.toString()}`);
      assert.match(messageOf(answer), text);
    }
  });

  it('warns of unknown and duplicate fields, refuses them when strict, ignores them when told to', async () => {
    const body = '{"metadata":{"name":"fields"},"data":{"a":"1","a":"2"},"dta":{}}';
    const send = (query: string) => h2(`${configmaps}?${query}`, { method: 'POST', headers: json, body });
    const strict = await send('fieldValidation=Strict');
    assert.equal(strict.status, 400);
    assert.match(
      messageOf(strict),
      /strict decoding error: (duplicate field "data\.a", unknown field "dta"|unknown field "dta", duplicate field "data\.a")$/,
    );
    const warned = await send('dryRun=All');
    assert.equal(warned.status, 201);
    const warnings = [warned.headers['warning']].flat().join('\n');
    assert.match(warnings, /299 - "unknown field \\"dta\\""/);
    assert.match(warnings, /299 - "duplicate field \\"data\.a\\""/);
    const ignored = await send('dryRun=All&fieldValidation=Ignore');
    assert.equal(ignored.headers['warning'], undefined);
    assert.equal((await send('fieldValidation=Perhaps')).status, 422);
  });

  it("bounds bodies at upstream's limit", async () => {
    const big = cm('big', { a: 'x'.repeat(3 * 1024 * 1024) });
    for (const send of [h1, h2]) {
      const answer = await send(configmaps, { method: 'POST', headers: json, body: big });
      assert.equal(answer.status, 413);
      assert.equal(messageOf(answer), 'Request body too large: limit is 3145728');
      assert.equal(answer.json()['reason'], 'RequestEntityTooLarge');
    }
  });

  it('bounds bodies of unknown length, and what they unpack to', async () => {
    const { pki } = test;
    const ask = (headers: Record<string, string>, chunks: readonly Uint8Array[]): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const options = {
          method: 'POST',
          headers: { ...json, ...headers },
          ca: pki.ca,
          ...pki.admin,
          agent: false,
        };
        const request = httpsRequest(`${test.url}${configmaps}`, options);
        request.on('response', (response) => {
          const body: Buffer[] = [];
          response.on('data', (chunk: Buffer) => body.push(chunk));
          response.on('end', () =>
            resolve(answerOf(response.statusCode ?? 0, response.headers, Buffer.concat(body))),
          );
        });
        request.on('error', reject);
        for (const chunk of chunks) request.write(chunk);
        request.end();
      });
    const chunk = Buffer.alloc(512 * 1024, ' ');
    const chunked = await ask({}, Array<Buffer>(8).fill(chunk));
    assert.equal(chunked.status, 413);
    const bomb = gzipSync(Buffer.alloc(16 * 1024 * 1024, ' '));
    assert.ok(bomb.length < 64 * 1024);
    assert.equal((await ask({ 'content-encoding': 'gzip' }, [bomb])).status, 413);
    assert.equal((await ask({ 'content-encoding': 'gzip' }, [gzipSync(cm('zipped'))])).status, 201);
    assert.equal((await ask({ 'content-encoding': 'gzip' }, [Buffer.from('no gzip')])).status, 400);
    assert.equal((await ask({ 'content-encoding': 'br' }, [chunk])).status, 415);
  });

  it('agrees on HTTP/2 first, on HTTP/1.1 without ALPN, and on nothing else', async () => {
    const { port, hostname } = new URL(test.url);
    const agreed = (protocols: string[]): Promise<string | false | null> =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect(
          {
            host: hostname,
            port: Number(port),
            ca: test.pki.ca,
            servername: 'localhost',
            ...(protocols.length === 0 ? {} : { ALPNProtocols: protocols }),
          },
          () => {
            resolve(socket.alpnProtocol);
            socket.destroy();
          },
        );
        socket.once('error', reject);
      });
    assert.equal(await agreed(['http/1.1', 'h2']), 'h2');
    assert.equal(await agreed(['spdy/3', 'http/1.1']), 'http/1.1');
    assert.equal(await agreed([]), false);
    await assert.rejects(agreed(['spdy/3']), /no application protocol/);
  });

  it('closes a watcher that does not read, and keeps the rest going', async () => {
    const { pki } = test;
    const client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    const options = { port: test.server.address.port, host: '127.0.0.1', ca: pki.ca, ...pki.admin };
    const lazy = tlsConnect({ ...options, ALPNProtocols: ['http/1.1'] });
    const gone = new Promise<void>((resolve) => lazy.once('close', () => resolve()));
    lazy.on('error', () => {});
    lazy.write('GET /api/v1/namespaces/slow/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => lazy.once('data', resolve));
    lazy.pause();
    const data = { text: 'x'.repeat(1_000_000) };
    for (let i = 0; i < 30; i++) {
      const object = { metadata: { name: `big-${i}`, namespace: 'slow' }, data };
      await client.create(core.configmaps, object);
    }
    // Only a reader notices that its connection is closed.
    lazy.resume();
    await gone;
    assert.equal((await h2('/api/v1/namespaces/slow/configmaps?limit=1')).status, 200);
  });

  it('compresses large answers for clients that accept it', async () => {
    const data = { a: 'x'.repeat(200_000) };
    await h2(configmaps, { method: 'POST', headers: json, body: cm('large', data) });
    const zipped = await h2(`${configmaps}/large`, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(zipped.headers['content-encoding'], 'gzip');
    assert.ok(zipped.body.length < 10_000);
    assert.deepEqual((JSON.parse(gunzipSync(zipped.body).toString()) as Doc)['data'], data);
    const plain = await h2(`${configmaps}/large`);
    assert.equal(plain.headers['content-encoding'], undefined);
  });

  it('streams watches with shared frames, in JSON and protobuf, and ends them at their timeout', async () => {
    const path = `${configmaps}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dboth`;
    const plain = await h1(path);
    const events = plain.body
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Doc);
    assert.equal(events[0]?.['type'], 'ADDED');
    assert.equal(events[0]?.['object']?.['kind'], 'ConfigMap');
    const binary = await h2(path, {
      headers: { accept: 'application/vnd.kubernetes.protobuf;stream=watch' },
    });
    async function* once(): AsyncGenerator<Buffer> {
      yield binary.body;
    }
    for await (const event of readWatchFrames(once())) {
      assert.equal(event.type, 'ADDED');
      assert.equal((event.object as unknown as Doc)['metadata']?.['name'], 'both');
      break;
    }
  });

  it('passes upgrades of exec on, and logs through', async () => {
    const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    await h2('/api/v1/namespaces/default/pods', { method: 'POST', headers: json, body: JSON.stringify(pod) });
    assert.equal((await h1('/api/v1/namespaces/default/pods/p/log')).body.toString(), 'a log\n');
    const { pki } = test;
    const upgrade = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect({
          port: test.server.address.port,
          host: '127.0.0.1',
          ca: pki.ca,
          ...pki.admin,
          ALPNProtocols: ['http/1.1'],
        });
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
        socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`);
      });
    const answer = await upgrade('/api/v1/namespaces/default/pods/p/exec?command=id&stdout=1');
    assert.match(answer, /^HTTP\/1\.1 101 [^]*\r\n\r\nexec id$/);
    assert.match(
      await upgrade('/api/v1/namespaces/default/pods/none/exec?command=id'),
      /^HTTP\/1\.1 404 [^]*pods \\"none\\" not found/,
    );
  });

  it("refuses strangers, unknown paths and methods in upstream's words", async () => {
    const stranger = connect(test.url, { ca: test.pki.ca });
    const [status, body] = await new Promise<[number, string]>((resolve) => {
      const stream = stranger.request({ ':path': configmaps });
      let text = '';
      let code = 0;
      stream.on('response', (headers) => (code = Number(headers[':status'])));
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('end', () => resolve([code, text]));
      stream.end();
    });
    stranger.close();
    assert.equal(status, 403);
    assert.match(
      body,
      /configmaps is forbidden: User \\"system:anonymous\\" cannot list resource \\"configmaps\\"/,
    );
    assert.equal((await h2('/api/v1/nothings')).status, 404);
    assert.equal((await h2('/apis/apps/v2/namespaces/default/deployments')).status, 404);
    assert.equal((await h2('/nothing')).status, 404);
    assert.equal((await h2('/version', { method: 'DELETE' })).status, 405);
    assert.equal(
      (await h2('/api/v1/namespaces/default/pods/p/exec', { method: 'PUT', headers: json, body: '{}' }))
        .status,
      405,
    );
    assert.equal((await h2('/api/v1/namespaces/default/pods/%zz')).status, 400);
    assert.equal((await h2(`/${'x'.repeat(20_000)}`)).status, 414);
  });

  it('takes up changed certificates without a restart', async () => {
    const next = makePki();
    const { server: fresh } = next;
    let current = test.pki.server;
    let ca = test.pki.ca;
    const fast = {
      ...systemClock,
      setTimeout: (callback: () => void, ms: number) => systemClock.setTimeout(callback, ms / 1000),
    };
    await using rotating = await startTestServer({
      clock: fast,
      tls: { cert: () => current.cert, key: () => current.key, clientCa: () => ca },
    });
    const works = (trusted: string): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = tlsConnect({ port: rotating.server.address.port, host: '127.0.0.1', ca: trusted });
        socket.once('secureConnect', () => (socket.destroy(), resolve(true)));
        socket.once('error', () => resolve(false));
      });
    assert.ok(await works(test.pki.ca));
    current = fresh;
    ca = next.ca;
    const deadline = Date.now() + 5_000;
    while (!(await works(next.ca))) assert.ok(Date.now() < deadline, 'the new certificate is never served');
    next.remove();
  });

  it("counts what it serves under upstream's names", async () => {
    const text = (await h2('/metrics')).body.toString();
    assert.match(
      text,
      /^apiserver_request_total\{code="201",component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="CREATE",version="v1"\} \d+$/m,
    );
    assert.match(text, /^apiserver_request_duration_seconds_bucket\{.*le="\+Inf"\} \d+$/m);
    assert.match(text, /^apiserver_current_inflight_requests\{request_kind="readOnly"\} \d+$/m);
    assert.match(text, /^apiserver_storage_objects\{resource="configmaps"\} \d+$/m);
  });
});

describe('overload', () => {
  it('is refused with 429 and Retry-After, watches aside', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await using test = await startTestServer({
      maxMutatingInflight: 1,
      maxReadOnlyInflight: 0,
      authenticators: () => [{ authenticate: () => ({ user: { name: 'somebody', groups: [] } }) }],
      admission: () => [{ name: 'Slow', handles: () => true, admit: () => held }],
    });
    const { pki } = test;
    const session = connect(test.url, { ca: pki.ca, ...pki.admin });
    const post = (name: string): Promise<IncomingHttpHeaders & IncomingHttpStatusHeader> =>
      new Promise((resolve) => {
        const stream = session.request({ ':path': configmaps, ':method': 'POST', ...json });
        stream.on('response', resolve);
        stream.resume();
        stream.end(cm(name));
      });
    const first = post('first');
    const refused = await post('second');
    assert.equal(refused[':status'], 429);
    assert.equal(refused['retry-after'], '1');
    release();
    assert.equal((await first)[':status'], 201);
    session.close();
  });
});
