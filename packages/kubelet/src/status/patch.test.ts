import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PodStatus } from '@cloudless/kube/types/core-v1';
import { statusPatch } from './patch.ts';

void describe('the patch of a pod’s status', () => {
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' };
  const stored: PodStatus = {
    phase: 'Running',
    reason: 'Old',
    podIP: '10.0.0.1',
    podIPs: [{ ip: '10.0.0.1' }],
    conditions: [ready],
  };

  void it('is absent when nothing of ours differs', () => {
    const wanted: PodStatus = { ...stored, initContainerStatuses: [] };
    assert.equal(
      statusPatch(
        'u',
        { ...stored, conditions: [{ ...ready }, { type: 'example.com/gate', status: 'False' }] },
        wanted,
      ),
      undefined,
    );
  });

  void it('names only what changed, and takes away what is gone', () => {
    const { reason: _, ...wanted } = { ...stored, phase: 'Failed' };
    assert.deepEqual(statusPatch('u', stored, wanted), {
      metadata: { uid: 'u' },
      status: { phase: 'Failed', reason: null },
    });
  });

  void it('leaves conditions of others alone', () => {
    const wanted: PodStatus = {
      ...stored,
      conditions: [
        { ...ready, status: 'False', reason: 'X' },
        { type: 'example.com/gate', status: 'True' },
      ],
    };
    assert.deepEqual(statusPatch('u', stored, wanted)!['status'], {
      conditions: [{ ...ready, status: 'False', reason: 'X', message: null }],
    });
  });

  void it('replaces addresses, which merge by ip', () => {
    const wanted: PodStatus = { ...stored, podIP: '10.0.0.2', podIPs: [{ ip: '10.0.0.2' }] };
    assert.deepEqual(statusPatch('u', stored, wanted)!['status'], {
      podIP: '10.0.0.2',
      podIPs: [{ ip: '10.0.0.2' }, { $patch: 'delete', ip: '10.0.0.1' }],
    });
  });
});
