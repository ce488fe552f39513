import type { Container, EphemeralContainer, Pod } from '@cloudless/kube/types/core-v1';
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';
import { remoteCommandStreams } from '@cloudless/kube/streaming/remote-command';
import { errors, StatusError } from '@cloudless/kube/status';

const containersOf = (pod: Pod): Array<Container | EphemeralContainer> => [
  ...(pod.spec?.initContainers ?? []),
  ...(pod.spec?.containers ?? []),
  ...(pod.spec?.ephemeralContainers ?? []),
];

/** The container that is meant; throws 400 in upstream's words (pkg/registry/core/pod/strategy.go). */
export function chosenContainer(pod: Pod, wanted: string): string {
  const name = pod.metadata.name ?? '';
  const all = containersOf(pod).map((container) => container.name);
  if (wanted !== '') {
    if (all.includes(wanted)) return wanted;
    throw errors.badRequest(`container ${wanted} is not valid for pod ${name}`);
  }
  const regular = pod.spec?.containers ?? [];
  if (regular.length === 1 && regular[0]) return regular[0].name;
  if (regular.length === 0) throw errors.badRequest(`a container name must be specified for pod ${name}`);
  throw errors.badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${all.join(' ')}]`,
  );
}

const truths = new Set(['1', 'true', 'True', 'TRUE', 't', 'T']);

/**
 * PodLogOptions as the kubelet takes them; throws 422 for bad ones (upstream: ValidatePodLogOptions) and 400 for what
 * is no number.
 */
export function logParameters(query: URLSearchParams, podName: string): URLSearchParams {
  const out = new URLSearchParams();
  const found: FieldError[] = [];
  for (const flag of ['follow', 'previous', 'timestamps']) {
    if (truths.has(query.get(flag) ?? '')) out.set(flag, 'true');
  }
  const number = (name: string, least: 0 | 1): void => {
    const text = query.get(name);
    if (text === null || text === '') return;
    if (!/^[+-]?\d+$/.test(text)) {
      throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    }
    const value = Number(text);
    if (value < least) {
      found.push(
        fieldErrors.invalid(
          FieldPath.of(name),
          value,
          least === 0 ? 'must be greater than or equal to 0' : 'must be greater than 0',
        ),
      );
    }
    out.set(name, text);
  };
  number('tailLines', 0);
  number('limitBytes', 1);
  const sinceTime = query.get('sinceTime');
  if (sinceTime && query.get('sinceSeconds')) {
    found.push(
      fieldErrors.forbidden(
        FieldPath.of(''),
        'at most one of `sinceTime` or `sinceSeconds` may be specified',
      ),
    );
  }
  number('sinceSeconds', 1);
  if (sinceTime) {
    if (Number.isNaN(Date.parse(sinceTime))) {
      throw errors.badRequest(`parsing time ${JSON.stringify(sinceTime)} as RFC 3339: it is none`);
    }
    out.set('sinceTime', sinceTime);
  }
  checkStream(query.get('stream'), query.has('tailLines'), out, found);
  if (found.length > 0) throw errors.invalid({ group: '', kind: 'PodLogOptions' }, podName, found);
  return out;
}

const streams = ['All', 'Stderr', 'Stdout'];

function checkStream(
  stream: string | null,
  hasTail: boolean,
  out: URLSearchParams,
  found: FieldError[],
): void {
  if (!stream) return;
  const path = FieldPath.of('stream');
  if (!streams.includes(stream)) found.push(fieldErrors.notSupported(path, stream, streams));
  else if (stream !== 'All' && hasTail) {
    found.push(
      fieldErrors.forbidden(
        FieldPath.of('tailLines'),
        '`tailLines` and specific `stream` are mutually exclusive for now',
      ),
    );
  }
  out.set('stream', stream);
}

/** The kubelet's parameters of exec and attach: `input=1`, `output=1`, `error=1`, `tty=1`, `command`. */
export function commandParameters(subresource: 'exec' | 'attach', query: URLSearchParams): URLSearchParams {
  const truth = (name: string): boolean => truths.has(query.get(name) ?? '');
  const { stdin, stdout, stderr } = {
    stdin: truth('stdin'),
    stdout: truth('stdout'),
    stderr: truth('stderr'),
  };
  const out = new URLSearchParams();
  for (const [name, on] of Object.entries({
    input: stdin,
    output: stdout,
    error: stderr,
    tty: truth('tty'),
  })) {
    if (on) out.set(name, '1');
  }
  const streaming = remoteCommandStreams(out);
  if (!streaming.stdin && !streaming.stdout && !streaming.stderr) {
    throw errors.badRequest('you must specify at least 1 of stdin, stdout, stderr');
  }
  if (subresource === 'attach') return out;
  const command = query.getAll('command');
  if (command.length === 0)
    throw errors.badRequest('you must specify a command to run: the parameter command is missing');
  for (const word of command) out.append('command', word);
  return out;
}

/** The kubelet's `port=80,81` of a WebSocket port-forward; SPDY names ports in its streams. */
export function portParameters(query: URLSearchParams): URLSearchParams {
  const ports = query
    .getAll('ports')
    .flatMap((each) => each.split(','))
    .filter((each) => each !== '');
  for (const port of ports) {
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) {
      throw errors.badRequest(`invalid port ${JSON.stringify(port)}: it must be from 1 to 65535`);
    }
  }
  return ports.length === 0 ? new URLSearchParams() : new URLSearchParams({ port: ports.join(',') });
}

/** A kubelet's plain-text answer as the API's Status. */
export function statusFromKubelet(
  code: number,
  body: string,
  nodeName: string,
  podName: string,
): StatusError {
  const text = body.trim();
  switch (code) {
    case 400:
      return errors.badRequest(text);
    case 404:
      return new StatusError(
        404,
        'NotFound',
        `the server could not find the requested resource ( pods/log ${podName}): ${text}`,
        {
          name: podName,
          kind: 'pods',
        },
      );
    case 429:
      return errors.tooManyRequests(text, 1);
    case 401:
    case 403:
      return new StatusError(
        502,
        'InternalError',
        `the kubelet of node "${nodeName}" refuses the API server (${code}): ${text}; the API server's client certificate for kubelets must be of the cluster's CA and its user allowed nodes/proxy`,
      );
    case 500:
      return errors.internal(text);
    default:
      return new StatusError(
        code >= 500 ? code : 502,
        code === 503 ? 'ServiceUnavailable' : 'InternalError',
        `the kubelet of node "${nodeName}" answered ${code}: ${text}`,
      );
  }
}
