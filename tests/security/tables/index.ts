// Every table, in the order of README.md.
import type { AttackTable } from '../attack.ts';
import { admission } from './admission.ts';
import { authentication } from './authentication.ts';
import { authorization } from './authorization.ts';
import { bombs } from './bombs.ts';
import { objects } from './objects.ts';
import { transport } from './transport.ts';

export const tables: readonly AttackTable[] = [
  authentication,
  authorization,
  objects,
  admission,
  transport,
  bombs,
];
