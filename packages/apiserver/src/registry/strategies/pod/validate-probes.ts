/** Probes and lifecycle hooks (upstream: validateHandler and its callers). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { Lifecycle, LifecycleHandler, PodOS, Probe } from '@cloudless/kube/types/core-v1';
import {
  type Integer,
  invalidEach,
  nonNegative,
  portNumberOrName,
  required,
} from '../../validation/fields.ts';
import { isHttpHeaderName } from '../../validation/names.ts';

type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<LifecycleHandler, 'sleep'>;

function validateHttpGet(action: NonNullable<Handler['httpGet']>, path: FieldPath): FieldError[] {
  const wrong = [
    ...required(action.path, path.child('path')),
    ...portNumberOrName(action.port, path.child('port')),
  ];
  if (!['HTTP', 'HTTPS'].includes(action.scheme ?? '')) {
    wrong.push(fieldErrors.notSupported(path.child('scheme'), action.scheme ?? '', ['HTTP', 'HTTPS']));
  }
  for (const header of action.httpHeaders ?? []) {
    wrong.push(...invalidEach(path.child('httpHeaders'), header.name, isHttpHeaderName(header.name ?? '')));
  }
  return wrong;
}

function validateSleep(seconds: Integer, graceSeconds: Integer | undefined, path: FieldPath): FieldError[] {
  if (graceSeconds === undefined || (seconds >= 0 && seconds <= graceSeconds)) return [];
  const text = `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`;
  return [fieldErrors.invalid(path, seconds, text)];
}

/** Exactly one of the handler's kinds; `graceSeconds` bounds a sleep. */
function validateHandler(handler: Handler, graceSeconds: Integer | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const kinds = (['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const).filter(
    (kind) => handler[kind] != null,
  );
  const [first, ...others] = kinds;
  if (first === undefined) return [fieldErrors.required(path, 'must specify a handler type')];
  const at = path.child(first);
  if (first === 'exec') wrong.push(...required(handler.exec?.command ?? [], at.child('command')));
  else if (first === 'httpGet') wrong.push(...validateHttpGet(handler.httpGet!, at));
  else if (first === 'tcpSocket') wrong.push(...portNumberOrName(handler.tcpSocket?.port, at.child('port')));
  else if (first === 'grpc') wrong.push(...portNumberOrName(handler.grpc?.port, at.child('port')));
  else wrong.push(...validateSleep(handler.sleep?.seconds ?? 0, graceSeconds, at));
  for (const kind of others) {
    wrong.push(fieldErrors.forbidden(path.child(kind), 'may not specify more than 1 handler type'));
  }
  return wrong;
}

type ProbeKind = 'livenessProbe' | 'readinessProbe' | 'startupProbe';

function validateProbe(probe: Probe, kind: ProbeKind, path: FieldPath): FieldError[] {
  const wrong = validateHandler(probe, undefined, path);
  const counts = [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const;
  for (const name of counts) wrong.push(...nonNegative(probe[name], path.child(name)));
  const grace = probe.terminationGracePeriodSeconds;
  const gracePath = path.child('terminationGracePeriodSeconds');
  if (grace != null && grace <= 0)
    wrong.push(fieldErrors.invalid(gracePath, grace, 'must be greater than 0'));
  if (kind === 'readinessProbe') {
    if (grace != null) {
      wrong.push(fieldErrors.invalid(gracePath, grace, 'must not be set for readinessProbes'));
    }
  } else if (probe.successThreshold !== 1) {
    wrong.push(fieldErrors.invalid(path.child('successThreshold'), probe.successThreshold ?? 0, 'must be 1'));
  }
  return wrong;
}

/** The three probes of one container at `path`. */
export function validateProbes(container: Partial<Record<ProbeKind, Probe>>, path: FieldPath): FieldError[] {
  return (['livenessProbe', 'readinessProbe', 'startupProbe'] as const).flatMap((kind) => {
    const probe = container[kind];
    return probe ? validateProbe(probe, kind, path.child(kind)) : [];
  });
}

const linuxSignals = new Set(
  `ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP
   TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX`
    .split(/\s+/)
    .map((name) => `SIG${name}`),
);
for (let i = 1; i <= 15; i++) linuxSignals.add(`SIGRTMIN+${i}`);
for (let i = 1; i <= 14; i++) linuxSignals.add(`SIGRTMAX-${i}`);
const windowsSignals = new Set(['SIGKILL', 'SIGTERM']);

function validateStopSignal(signal: string, os: PodOS | undefined, path: FieldPath): FieldError[] {
  if (!os) {
    return [fieldErrors.forbidden(path, 'may not be set for containers with empty `spec.os.name`')];
  }
  const supported = os.name === 'windows' ? windowsSignals : linuxSignals;
  return supported.has(signal) ? [] : [fieldErrors.notSupported(path, signal, [...supported])];
}

export function validateLifecycle(
  lifecycle: Lifecycle | undefined,
  os: PodOS | undefined,
  graceSeconds: Integer | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name of ['postStart', 'preStop'] as const) {
    const handler = lifecycle?.[name];
    if (handler) wrong.push(...validateHandler(handler, graceSeconds, path.child(name)));
  }
  if (lifecycle?.stopSignal) {
    wrong.push(...validateStopSignal(lifecycle.stopSignal, os, path.child('stopSignal')));
  }
  return wrong;
}
