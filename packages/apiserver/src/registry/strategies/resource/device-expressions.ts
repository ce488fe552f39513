/** What expressions about devices may say (upstream: k8s.io/dynamic-resource-allocation/cel). Import it lazily. */
import { CelCompileError, CelProgramError } from '../../../cel/errors.ts';
import { type CelProgram, compileCel } from '../../../cel/program.ts';
import { quantityType } from '../../../cel/lib/quantity.ts';
import {
  anyType,
  boolType,
  type CelType,
  formatType,
  mapType,
  objectOf,
  stringType,
} from '../../../cel/types.ts';

const maxCost = 1_000_000;
const maxEntries = 32;
const sized = (type: CelType, maxElements: number): CelType => ({ ...type, maxElements });
const domain = sized(stringType, 63);
const identifier = sized(stringType, 32);
/** Of any type; a text of at most so many bytes. */
const attribute = sized(anyType, 64);
const attributes: CelType = {
  ...mapType(identifier, attribute, { maxElements: maxEntries }),
  everyEntry: attribute,
};
const capacities = mapType(identifier, quantityType, { maxElements: maxEntries });

const device = objectOf('kubernetes.DRADevice', {
  driver: sized(stringType, 63),
  allowMultipleAllocations: sized(boolType, 1),
  attributes: mapType(domain, attributes, { maxElements: maxEntries }),
  capacity: mapType(domain, capacities, { maxElements: maxEntries }),
});

const options = { bindings: true, sizedVariable: 'device' } as const;

/** Why an expression about a device cannot be used, in upstream's words; undefined: it can. */
export function judgeExpression(expression: string): { problem: string } | 'too-expensive' | undefined {
  let program: CelProgram;
  try {
    program = compileCel(expression, { device }, options);
  } catch (error) {
    if (error instanceof CelCompileError) return { problem: `compilation failed: ${error.message}` };
    if (error instanceof CelProgramError)
      return { problem: `program instantiation failed: ${error.message}` };
    throw error;
  }
  const { kind } = program.outputType;
  if (kind !== 'bool' && kind !== 'any') {
    const found = formatType(program.outputType);
    return { problem: `must evaluate to bool or the unknown type, not ${found}` };
  }
  return program.estimateCost().max > maxCost ? 'too-expensive' : undefined;
}
