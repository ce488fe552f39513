const sequence = 0x30;
const set = 0x31;
const objectId = 0x06;
const bmpString = 0x1e;
const versionTag = 0xa0;

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

/** Whom a certificate or a request for one is about: a user and its groups. */
export interface Subject {
  commonName: string;
  organizations: string[];
}

/** Text of a directory string: UTF-8 but for BMPString, which is UTF-16. */
function textOf({ tag, content }: Element): string {
  return tag === bmpString ? Buffer.from(content).swap16().toString('utf16le') : content.toString('utf8');
}

/** Reads a Name (RFC 5280 section 4.1.2.4). Of several common names the last counts, as in Go. */
function subjectOfName(name: Element | undefined): Subject {
  if (name?.tag !== sequence) throw new Error('there is no subject');
  const subject: Subject = { commonName: '', organizations: [] };
  for (const relative of elements(name.content)) {
    if (relative.tag !== set) throw new Error('the subject is malformed');
    for (const attribute of elements(relative.content)) {
      const [type, value] = elements(attribute.content);
      if (type?.tag !== objectId || !value) throw new Error('the subject is malformed');
      const known = names[type.content.toString('hex')];
      if (known === 'CN') subject.commonName = textOf(value);
      if (known === 'O') subject.organizations.push(textOf(value));
    }
  }
  return subject;
}

/** The fields of what is signed: the first part of a certificate or request. */
function signedFields(der: Buffer): Element[] {
  const outer = element(der, 0);
  const [signed] = elements(outer.content);
  if (outer.tag !== sequence || signed?.tag !== sequence) throw new Error('the DER data is no certificate');
  return [...elements(signed.content)];
}

/** Subject of an X.509 certificate (RFC 5280), DER. Throws an Error with a sentence when it is none. */
export function certificateSubject(der: Buffer): Subject {
  const fields = signedFields(der);
  const afterVersion = fields[0]?.tag === versionTag ? 1 : 0;
  // serialNumber, signature, issuer, validity, subject
  return subjectOfName(fields[afterVersion + 4]);
}

/** Subject of a PKCS#10 request (RFC 2986) as `spec.request` holds it, base64 of PEM. Throws as above. */
export function requestedSubject(base64: string): Subject {
  const pem = Buffer.from(base64, 'base64').toString('latin1');
  const body = /-----BEGIN CERTIFICATE REQUEST-----([\s\S]+?)-----END CERTIFICATE REQUEST-----/.exec(
    pem,
  )?.[1];
  if (body === undefined) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  return subjectOfName(signedFields(Buffer.from(body, 'base64'))[1]);
}
