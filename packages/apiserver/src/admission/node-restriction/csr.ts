const sequence = 0x30;
const set = 0x31;
const objectId = 0x06;

interface Element {
  tag: number;
  content: Buffer;
}

/** One DER element at `at`; throws on anything that is not definite-length DER within the buffer. */
function element(der: Buffer, at: number): Element & { end: number } {
  const tag = der[at];
  let length = der[at + 1];
  if (tag === undefined || length === undefined) throw new Error('the DER data ends early');
  let start = at + 2;
  if (length > 0x80) {
    const count = length - 0x80;
    if (count > 4 || start + count > der.length) throw new Error('the DER data has an unusable length');
    length = der.readUIntBE(start, count);
    start += count;
  } else if (length === 0x80) throw new Error('the DER data has an indefinite length');
  const end = start + length;
  if (end > der.length) throw new Error('the DER data ends early');
  return { tag, content: der.subarray(start, end), end };
}

function* elements(content: Buffer): Generator<Element> {
  for (let at = 0; at < content.length;) {
    const next = element(content, at);
    yield next;
    at = next.end;
  }
}

const names: Readonly<Record<string, 'CN' | 'O'>> = { '550403': 'CN', '55040a': 'O' };

/** Who a certificate signing request wants to be. */
export interface RequestedSubject {
  commonName: string;
  organizations: string[];
}

/**
 * Reads the subject of a PKCS#10 request (RFC 2986) from `spec.request`, base64 of PEM. Throws an Error with a
 * sentence when it is none. Of several common names the last counts, as in Go.
 */
export function requestedSubject(base64: string): RequestedSubject {
  const pem = Buffer.from(base64, 'base64').toString('latin1');
  const body = /-----BEGIN CERTIFICATE REQUEST-----([\s\S]+?)-----END CERTIFICATE REQUEST-----/.exec(
    pem,
  )?.[1];
  if (body === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const der = Buffer.from(body, 'base64');
  const [info] = elements(element(der, 0).content);
  const [, name] = elements(info?.content ?? Buffer.alloc(0));
  if (info?.tag !== sequence || name?.tag !== sequence) throw new Error('the request has no subject');
  const subject: RequestedSubject = { commonName: '', organizations: [] };
  for (const relative of elements(name.content)) {
    if (relative.tag !== set) throw new Error('the subject is malformed');
    for (const attribute of elements(relative.content)) {
      const [type, value] = elements(attribute.content);
      if (type?.tag !== objectId || !value) throw new Error('the subject is malformed');
      const known = names[type.content.toString('hex')];
      const text =
        value.tag === 0x1e
          ? Buffer.from(value.content).swap16().toString('utf16le')
          : value.content.toString('utf8');
      if (known === 'CN') subject.commonName = text;
      if (known === 'O') subject.organizations.push(text);
    }
  }
  return subject;
}
