/** What ReplicaSets and ReplicationControllers share. */
import type { FieldError } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import type { ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { ReplicationController } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { nonNegativeEach, noneExceeds } from '../../validation/fields.ts';
import {
  ageColumn,
  ageOf,
  containerCells,
  containersColumn,
  imagesColumn,
  integer,
  selectorColumn,
  table,
} from '../table/table.ts';
import { statusPath } from './template.ts';

const counters = ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'];

type Replicated = KubeObject & Pick<ReplicaSet | ReplicationController, 'spec' | 'status'>;

/** No counter is negative or above `replicas`, and what is available is ready (upstream: ValidateReplicaSetStatus). */
export const validateCounters = (status: Replicated['status']): FieldError[] => [
  ...nonNegativeEach(status, [...counters, 'observedGeneration', 'terminatingReplicas'], statusPath),
  ...noneExceeds(status, counters.slice(1), 'replicas', 'cannot be greater than status.replicas', statusPath),
  ...noneExceeds(
    status,
    ['availableReplicas'],
    'readyReplicas',
    'cannot be greater than readyReplicas',
    statusPath,
  ),
];

export const replicasField: Strategy<Replicated>['selectableFields'] = {
  'status.replicas': (object) => String(object.status?.replicas ?? 0),
};

/** The columns of kubectl; `selector` writes the last. */
export const replicasTable = <T extends Replicated>(selector: (object: T) => string): Strategy<T>['table'] =>
  table<T>(
    [
      integer('Desired', 'Pods wanted.'),
      integer('Current', 'Pods that exist.'),
      integer('Ready', 'Pods that are ready.'),
      ageColumn,
      containersColumn,
      imagesColumn,
      selectorColumn,
    ],
    (object, nowMs) => [
      object.spec?.replicas ?? 0,
      object.status?.replicas ?? 0,
      object.status?.readyReplicas ?? 0,
      ageOf(object, nowMs),
      ...containerCells(object.spec?.template?.spec?.containers),
      selector(object),
    ],
  );
