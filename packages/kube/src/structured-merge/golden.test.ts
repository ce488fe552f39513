import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseYaml } from '../codec/yaml.ts';
import type { JSONSchemaProps } from '../generated/types/apiextensions-v1.ts';
import { mergeTypeOfSchema } from './custom-type.ts';
import { fieldsV1Text } from './fields-v1.ts';
import { deducedType, type MergeType } from './merge-type.ts';
import { type ManagedSets, type TypedObject, Updater } from './updater.ts';
import { validateValue } from './validate.ts';
import { canonicalJson, compareTexts } from './value.ts';

/**
 * Scripts of appliers and updaters, and what is left of them (testdata/*.txt):
 *
 *   == title
 *   type NAME             the type of the object from here on (testdata/types.txt, or `deduced`)
 *   apply MANAGER OBJECT  or `force`, or `update`; the object in YAML
 *   ! text                the step above is refused, and changes nothing
 *   = OBJECT              at the end
 *   = MANAGER apply|update FIELDS
 */
const folder = new URL('./testdata/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

const types = new Map<string, MergeType>([['deduced', deducedType]]);
for (const line of read('types.txt').trimEnd().split('\n')) {
  const space = line.indexOf(' ');
  types.set(line.slice(0, space), mergeTypeOfSchema(parseYaml(line.slice(space + 1)) as JSONSchemaProps));
}

/** Errors of members come in the members' order, which is nobody's promise. */
function refusal(error: unknown): string[] {
  assert.ok(error instanceof Error);
  const [head = '', ...lines] = error.message.split('\n');
  return [head, ...(head === 'errors:' ? lines.sort(compareTexts) : lines)].map((line) => `! ${line}`);
}

class Script {
  readonly out: string[] = [];
  #type: MergeType = deducedType;
  #live: unknown = null;
  #managers: ManagedSets = new Map();
  readonly #updater = new Updater({ convert: (object) => object, filterOf: () => undefined });

  step(line: string): void {
    this.out.push(line);
    const [operation = '', name = ''] = line.split(' ', 2);
    if (operation === 'type') {
      const type = types.get(name);
      assert.ok(type, `no type ${name} in types.txt`);
      this.#type = type;
      return;
    }
    const value = parseYaml(line.slice(operation.length + name.length + 2));
    try {
      this.#write(operation, name, value);
    } catch (error) {
      this.out.push(...refusal(error));
    }
  }

  #typed(value: unknown): TypedObject {
    return { version: 'v1', type: this.#type, value };
  }

  #write(operation: string, manager: string, value: unknown): void {
    validateValue(this.#type, value, operation === 'update');
    const [live, next] = [this.#typed(this.#live), this.#typed(value)];
    if (operation === 'update') {
      this.#managers = this.#updater.update(live, next, this.#managers, manager);
      this.#live = value;
      return;
    }
    const applied = this.#updater.apply(live, next, this.#managers, manager, operation === 'force');
    this.#managers = applied.managers;
    if (applied.object) this.#live = applied.object.value;
  }

  finish(): string {
    this.out.push(`= ${canonicalJson(this.#live)}`);
    for (const name of [...this.#managers.keys()].sort(compareTexts)) {
      const owned = this.#managers.get(name);
      assert.ok(owned);
      this.out.push(`= ${name} ${owned.applied ? 'apply' : 'update'} ${fieldsV1Text(owned.set)}`);
    }
    return this.out.join('\n');
  }
}

for (const file of readdirSync(folder)) {
  if (file === 'types.txt') continue;
  describe(`golden: ${file}`, () => {
    for (const text of `\n${read(file)}`.trimEnd().split('\n== ').slice(1)) {
      const [title = '', ...lines] = text.trimEnd().split('\n');
      it(title, () => {
        const script = new Script();
        for (const line of lines) if (!/^[!=] /.test(line)) script.step(line);
        assert.equal(script.finish(), lines.join('\n'));
      });
    }
  });
}
