import { readFileSync } from 'node:fs';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import type { Case } from './cases/case.ts';
import { cases as certManager } from './cases/cert-manager.ts';
import { cases as cloudnativePg } from './cases/cloudnative-pg.ts';
import { cases as flux } from './cases/flux.ts';
import { cases as metallb } from './cases/metallb.ts';
import { cases as prometheusOperator } from './cases/prometheus-operator.ts';

export const operators: Readonly<Record<string, readonly Case[]>> = {
  'cert-manager': certManager,
  'cloudnative-pg': cloudnativePg,
  flux,
  metallb,
  'prometheus-operator': prometheusOperator,
};

export const fileOf = (folder: 'crds' | 'verdicts', operator: string): URL =>
  new URL(`testdata/${folder}/${operator}.json`, import.meta.url);

export const definitionsOf = (operator: string): CustomResourceDefinition[] =>
  JSON.parse(readFileSync(fileOf('crds', operator), 'utf8')) as CustomResourceDefinition[];
