import type { Encoding } from './document.ts';
import type { OpenApiVersion } from './schema.ts';

/** Subtypes of `application/` in the order of upstream's handlers (kube-openapi, pkg/handler and pkg/handler3). */
const subtypes = (dialect: OpenApiVersion): Array<[subtype: string, encoding: Encoding]> => [
  ['json', 'json'],
  // What kubectl up to 1.27 asks for; Go cannot parse the `@` in the type of an answer.
  [`com.github.proto-openapi.spec.${dialect}@v1.0+protobuf`, 'protobuf'],
  [`com.github.proto-openapi.spec.${dialect}.v1.0+protobuf`, 'protobuf'],
];

export const contentTypeOf = (dialect: OpenApiVersion, encoding: Encoding): string =>
  encoding === 'json'
    ? 'application/json'
    : `application/com.github.proto-openapi.spec.${dialect}.v1.0+protobuf`;

interface Clause {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
}

/** The clauses of an `Accept` header, best first; exact types before wildcards of the same quality (RFC 9110, 12.5.1). */
function clausesOf(accept: string): Clause[] {
  const wildcards = ({ type, subtype }: Clause): number => (type === '*' ? 2 : 0) + (subtype === '*' ? 1 : 0);
  return (accept.trim() === '' ? '*/*' : accept)
    .split(',')
    .map((clause) => {
      const [media = '', ...parameters] = clause.split(';').map((part) => part.trim());
      const [type = '', subtype = ''] = media.split('/');
      const quality = parameters.find((each) => each.startsWith('q='))?.slice(2);
      return { type, subtype, quality: quality === undefined ? 1 : Number(quality) || 0 };
    })
    .sort((a, b) => b.quality - a.quality || wildcards(a) - wildcards(b));
}

/** How to encode a document for a client; undefined when it takes none of our types (406). */
export function negotiateEncoding(accept: string, dialect: OpenApiVersion): Encoding | undefined {
  for (const { type, subtype } of clausesOf(accept)) {
    if (type !== 'application' && type !== '*') continue;
    const found = subtypes(dialect).find(([known]) => subtype === known || subtype === '*');
    if (found) return found[1];
  }
  return undefined;
}
