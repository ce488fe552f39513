import { StatusError } from '@cloudless/kube/status';
import { type Conflict, conflictText } from '@cloudless/kube/structured-merge/conflict';
import { pathText } from '@cloudless/kube/structured-merge/path-element';
import { shownManager } from './identity.ts';

/** 409 with a cause per field (apimachinery: managedfields/internal/conflict.go). */
export function applyConflict(conflicts: readonly Conflict[]): StatusError {
  const count = conflicts.length === 1 ? '1 conflict' : `${conflicts.length} conflicts`;
  const causes = conflicts.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${shownManager(manager)}`,
    field: pathText(path),
  }));
  const text = conflictText(conflicts, shownManager);
  return new StatusError(409, 'Conflict', `Apply failed with ${count}: ${text}`, { causes });
}
