/** Validation of the pod template of a workload that keeps its pods running. */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { selectorOf } from '../../validation/fields.ts';
import { validatePodTemplate } from '../pod/validate-template.ts';

export const specPath = FieldPath.of('spec');
export const statusPath = FieldPath.of('status');
export const templatePath = specPath.child('template');

/** A selector that is required, valid and not empty; `kind` as upstream's text names it. */
export function validateRequiredSelector(selector: LabelSelector | undefined, kind: string): FieldError[] {
  const path = specPath.child('selector');
  if (!selector) return [fieldErrors.required(path)];
  const wrong = validateLabelSelector(selector, path);
  const size = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions?.length ?? 0);
  if (size === 0) wrong.push(fieldErrors.invalid(path, selector, `empty selector is invalid for ${kind}`));
  return wrong;
}

/** The template's labels must be selected. */
export function validateTemplateLabels(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
): FieldError[] {
  const found = selectorOf(selector);
  const labels = template?.metadata?.labels;
  if (!found || found.isEmpty || found.matches(labels)) return [];
  const path = templatePath.child('metadata', 'labels');
  return [fieldErrors.invalid(path, labels, '`selector` does not match template `labels`')];
}

/** The template as a whole, with what a workload of endless pods refuses; `kind` as upstream's text names it, `old` as it stands. */
export function validateEndlessTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  kind: string,
  old?: PodTemplateSpec,
): FieldError[] {
  if (!template) return [fieldErrors.required(templatePath)];
  const wrong = [
    ...validateTemplateLabels(template, selector),
    ...validatePodTemplate(template, templatePath, old),
  ];
  const path = templatePath.child('spec');
  const policy = template.spec?.restartPolicy ?? '';
  if (policy !== 'Always') {
    wrong.push(fieldErrors.notSupported(path.child('restartPolicy'), policy, ['Always']));
  }
  if (template.spec?.activeDeadlineSeconds != null) {
    const text = `activeDeadlineSeconds in ${kind} is not Supported`;
    wrong.push(fieldErrors.forbidden(path.child('activeDeadlineSeconds'), text));
  }
  return wrong;
}
