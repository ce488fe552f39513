// `npm run generate`: rebuilds everything under src/generated from the committed facts in packages/kube/data.
import { generateCri } from './cri.ts';
import { generateResources } from './resources.ts';
import { generateSchema } from './schema.ts';
import { generateTypes } from './types.ts';

console.log(`types: ${generateTypes()} files`);
console.log(`resources: ${generateResources()}`);
console.log(`cri: ${generateCri()} calls`);
console.log(`schema: ${generateSchema()} structs`);
