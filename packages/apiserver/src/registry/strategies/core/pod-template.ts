import { FieldPath } from '@cloudless/kube/field';
import type { PodTemplate } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { validatePodTemplate } from '../pod/validate-template.ts';
import { templateWarnings } from '../pod/warnings.ts';
import { containerCells, labelsCell, table, text } from '../table/table.ts';

const path = FieldPath.of('template');

/** Upstream: pkg/registry/core/podtemplate. */
export const podTemplate: Strategy<PodTemplate> = {
  defaults: (object) => defaultPodTemplate((object.template ??= {})),
  dropDisabledFields: (object) => dropDisabledPodFields(object.template?.spec),
  validate: (_context, object) => validatePodTemplate(object.template ?? {}, path),
  validateUpdate: (_context, object, old) => validatePodTemplate(object.template ?? {}, path, old.template),
  warnings: (_context, object, old) => templateWarnings(object.template, old?.template, path),
  table: table<PodTemplate>(
    [
      text('Containers', 'Names of the containers in the template.'),
      text('Images', 'Images of the containers in the template.'),
      text('Pod Labels', 'Labels of the template.'),
    ],
    (object) => [
      ...containerCells(object.template?.spec?.containers),
      labelsCell(object.template?.metadata?.labels),
    ],
  ),
};
