/** All functions of Kubernetes 1.36 (apiserver/pkg/cel/environment/base.go), and the names of types. */
import { type FunctionTable, tableOf } from '../check/functions.ts';
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listType,
  mapType,
  nullType,
  optionalType,
  stringType,
  timestampType,
  typeType,
  uintType,
} from '../types.ts';
import { authorizerLibrary } from './authorizer.ts';
import { listsLibrary } from './lists.ts';
import { formatLibrary } from './named-format.ts';
import { networkLibrary } from './network.ts';
import { optionalLibrary } from './optional.ts';
import { quantityLibrary } from './quantity.ts';
import { regexLibrary } from './regex.ts';
import { semverLibrary } from './semver.ts';
import { standardLibrary } from './standard.ts';
import { stringsLibrary } from './strings.ts';
import { urlLibrary } from './url.ts';

export const functions: FunctionTable = tableOf([
  ...standardLibrary,
  ...optionalLibrary,
  ...stringsLibrary,
  ...listsLibrary,
  ...regexLibrary,
  ...urlLibrary,
  ...networkLibrary,
  ...quantityLibrary,
  ...formatLibrary,
  ...semverLibrary,
  ...authorizerLibrary,
]);

export const typeNames: ReadonlyMap<string, CelType> = new Map(
  [
    boolType,
    bytesType,
    doubleType,
    durationType,
    intType,
    listType(dynType),
    mapType(dynType, dynType),
    nullType,
    stringType,
    timestampType,
    typeType(),
    uintType,
    optionalType(dynType),
  ].map((type) => [type.name, type]),
);
