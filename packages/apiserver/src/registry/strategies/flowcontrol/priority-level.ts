/** PriorityLevelConfiguration (upstream: pkg/apis/flowcontrol/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  ExemptPriorityLevelConfiguration,
  LimitedPriorityLevelConfiguration,
  LimitResponse,
  PriorityLevelConfiguration,
  QueuingConfiguration,
} from '@cloudless/kube/types/flowcontrol-v1';
import type { Strategy } from '../../strategy.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateConditions } from './conditions.ts';

const specPath = FieldPath.of('spec');
const maxQueues = 10_000_000;
const maxHashBits = 60;
const preserveZeroAnnotation = 'flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares';

type Shares = Pick<ExemptPriorityLevelConfiguration, 'nominalConcurrencyShares' | 'lendablePercent'>;

function validateShares(level: Shares, path: FieldPath): FieldError[] {
  const { nominalConcurrencyShares: shares, lendablePercent: lendable } = level;
  const wrong: FieldError[] = [];
  if (shares != null && shares < 0) {
    const why = 'must be a non-negative integer';
    wrong.push(fieldErrors.invalid(path.child('nominalConcurrencyShares'), shares, why));
  }
  return lendable == null || (lendable >= 0 && lendable <= 100)
    ? wrong
    : [
        ...wrong,
        fieldErrors.invalid(path.child('lendablePercent'), lendable, 'must be between 0 and 100, inclusive'),
      ];
}

/** Bits of a hash that shuffle sharding needs to deal `handSize` of `queues` (apiserver/pkg/util/shufflesharding). */
const entropyBits = (queues: number, handSize: number): number => Math.ceil(Math.log2(queues) * handSize);

function validateQueuing(queuing: QueuingConfiguration, path: FieldPath): FieldError[] {
  const { queueLengthLimit = 0, queues = 0, handSize = 0 } = queuing;
  const wrong: FieldError[] = [];
  const invalid = (name: string, value: number, why: string): void =>
    void wrong.push(fieldErrors.invalid(path.child(name), value, why));
  if (queueLengthLimit <= 0) invalid('queueLengthLimit', queueLengthLimit, 'must be positive');
  if (queues <= 0) invalid('queues', queues, 'must be positive');
  else if (queues > maxQueues) invalid('queues', queues, `must not be greater than ${maxQueues}`);
  if (handSize <= 0) invalid('handSize', handSize, 'must be positive');
  else if (handSize > queues) invalid('handSize', handSize, `should not be greater than queues (${queues})`);
  else if (entropyBits(queues, handSize) > maxHashBits) {
    const why = `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${maxHashBits}`;
    invalid('handSize', handSize, why);
  }
  return wrong;
}

function validateResponse(response: Partial<LimitResponse>, path: FieldPath): FieldError[] {
  const at = path.child('queuing');
  switch (response.type ?? '') {
    case 'Reject': {
      const why = 'must be nil if limited.limitResponse.type is not Limited';
      return response.queuing ? [fieldErrors.forbidden(at, why)] : [];
    }
    case 'Queue': {
      const why = 'must not be empty if limited.limitResponse.type is Limited';
      return response.queuing ? validateQueuing(response.queuing, at) : [fieldErrors.required(at, why)];
    }
    case '':
      return [fieldErrors.required(path.child('type'))];
    default:
      return [fieldErrors.notSupported(path.child('type'), response.type, ['Queue', 'Reject'])];
  }
}

function validateLimited(limited: LimitedPriorityLevelConfiguration, path: FieldPath): FieldError[] {
  const [shares, lendable] = [
    validateShares({ nominalConcurrencyShares: limited.nominalConcurrencyShares }, path),
    validateShares({ lendablePercent: limited.lendablePercent }, path),
  ];
  const wrong = [
    ...shares,
    ...validateResponse(limited.limitResponse ?? {}, path.child('limitResponse')),
    ...lendable,
  ];
  const borrowing = limited.borrowingLimitPercent;
  if (borrowing != null && borrowing < 0) {
    const why = 'if specified, must be a non-negative integer';
    wrong.push(fieldErrors.invalid(path.child('borrowingLimitPercent'), borrowing, why));
  }
  return wrong;
}

function validateSpec({ metadata, spec }: PriorityLevelConfiguration): FieldError[] {
  const type = spec?.type ?? '';
  const wrong: FieldError[] = [];
  const typePath = specPath.child('type');
  if ((metadata.name === 'exempt') !== (type === 'Exempt')) {
    wrong.push(fieldErrors.invalid(typePath, type, "must be 'Exempt' if and only if `name` is 'exempt'"));
  }
  if (type === '') return [...wrong, fieldErrors.required(typePath)];
  const [limited, exempt] = [specPath.child('limited'), specPath.child('exempt')];
  if (type === 'Exempt') {
    if (spec?.limited) wrong.push(fieldErrors.forbidden(limited, 'must be nil if the type is not Limited'));
    return spec?.exempt ? [...wrong, ...validateShares(spec.exempt, exempt)] : wrong;
  }
  if (type !== 'Limited') return [...wrong, fieldErrors.notSupported(typePath, type, ['Exempt', 'Limited'])];
  if (spec?.exempt) wrong.push(fieldErrors.forbidden(exempt, 'must be nil if the type is Limited'));
  if (!spec?.limited)
    return [...wrong, fieldErrors.required(limited, 'must not be empty when type is Limited')];
  return [...wrong, ...validateLimited(spec.limited, limited)];
}

function validatePriorityLevel(object: PriorityLevelConfiguration): FieldError[] {
  const annotations = FieldPath.of('metadata', 'annotations');
  return [
    ...(object.metadata.annotations?.[preserveZeroAnnotation] === undefined
      ? []
      : [fieldErrors.forbidden(annotations, `annotation '${preserveZeroAnnotation}' is forbidden`)]),
    ...validateSpec(object),
    ...validateConditions(object.status?.conditions),
  ];
}

export const priorityLevelConfiguration: Strategy<PriorityLevelConfiguration> = {
  defaults({ spec }) {
    if (spec?.exempt) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
    if (!spec?.limited) return;
    spec.limited.nominalConcurrencyShares ??= 30;
    spec.limited.lendablePercent ??= 0;
    const queuing = spec.limited.limitResponse?.queuing;
    if (!queuing) return;
    queuing.handSize ||= 8;
    queuing.queues ||= 64;
    queuing.queueLengthLimit ||= 50;
  },
  validate: (_context, object) => validatePriorityLevel(object),
  validateUpdate: (_context, object) => validatePriorityLevel(object),
  validateStatusUpdate: (_context, object) => validateConditions(object.status?.conditions),
  table: table<PriorityLevelConfiguration>(
    [
      text('Type', 'Limited or exempt.'),
      text('NominalConcurrencyShares', 'Its share of the seats.'),
      text('Queues', 'Number of queues.'),
      text('HandSize', 'Queues a flow is dealt.'),
      text('QueueLengthLimit', 'Requests a queue holds.'),
      ageColumn,
    ],
    ({ spec, ...object }, nowMs) => {
      const queuing = spec?.limited?.limitResponse?.queuing;
      return [
        spec?.type ?? '',
        spec?.limited?.nominalConcurrencyShares ?? '<none>',
        queuing?.queues ?? '<none>',
        queuing?.handSize ?? '<none>',
        queuing?.queueLengthLimit ?? '<none>',
        ageOf(object, nowMs),
      ];
    },
  ),
};
