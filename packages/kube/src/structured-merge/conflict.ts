import { type PathElement, pathText } from './path-element.ts';
import type { ManagedSets } from './updater.ts';
import { PathSet } from './path-set.ts';
import { compareTexts } from './value.ts';

/** A field that another manager owns and that would change. */
export interface Conflict {
  readonly manager: string;
  readonly path: readonly PathElement[];
}

/** An apply without force would change what others own. Managers are ordered, each one's paths too. */
export class ConflictError extends Error {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    super(conflictText(conflicts, JSON.stringify));
    this.name = 'ConflictError';
    this.conflicts = conflicts;
  }

  static of(sets: ManagedSets): ConflictError {
    const conflicts: Conflict[] = [];
    for (const manager of [...sets.keys()].sort(compareTexts)) {
      const paths = (sets.get(manager)?.set ?? PathSet.empty).paths();
      for (const path of paths) conflicts.push({ manager, path });
    }
    return new ConflictError(conflicts);
  }
}

/**
 * One conflict in a line, several grouped by manager (structured-merge-diff v6, merge/conflict.go). `show` writes a
 * manager.
 */
export function conflictText(conflicts: readonly Conflict[], show: (manager: string) => string): string {
  const [only] = conflicts;
  if (conflicts.length === 1 && only) return `conflict with ${show(only.manager)}: ${pathText(only.path)}`;
  const lines: string[] = [];
  let manager: string | undefined;
  for (const conflict of conflicts) {
    if (conflict.manager !== manager) lines.push(`conflicts with ${show((manager = conflict.manager))}:`);
    lines.push(`- ${pathText(conflict.path)}`);
  }
  return lines.join('\n');
}
