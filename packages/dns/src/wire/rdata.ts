/** RDATA: of any type by its layout ({@link checkData}, text, canonical form), and typed readers and makers. */
export { addressText, addressBytes as addressData } from './rdata/address.ts';
export { readTypeBitmap, typeBitmap } from './rdata/bitmap.ts';
export {
  canonicalData,
  checkData,
  genericText,
  parseData,
  printData,
  uncompressedData,
} from './rdata/data.ts';
export { dnssecAlgorithms } from './rdata/dnssec-field.ts';
export { base32HexBytes, base32HexText } from './rdata/encoding.ts';
export { parseTtl, stringBytes } from './rdata/field.ts';
export { readToken, type Token, tokensOf } from './rdata/token.ts';
export * from './rdata/typed.ts';
export * from './rdata/typed-dnssec.ts';
