/** Label and field selectors: parse, match, format. */
export {
  type Labels,
  type Operator,
  type Requirement,
  Selector,
  SelectorError,
  everything,
  formatLabelSelector,
  nothing,
  requirement,
  selectorFromObject,
  selectorFromSet,
} from './labels.ts';
export { parseLabelSelector } from './parse.ts';
export {
  type FieldRequirement,
  type Fields,
  FieldSelector,
  escapeFieldValue,
  everyField,
  parseFieldSelector,
} from './fields.ts';
export { dnsSubdomainErrors, labelKeyErrors, labelValueErrors } from './validation.ts';
