/** An object of a custom kind; metadata.name is given by the runner. */
export interface Sample {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced?: false;
  readonly spec: object;
}

/** One request. `with` is a JSON merge patch (RFC 7386) on the object as the server last gave it. */
export type Step =
  | { readonly do: 'create'; readonly strict?: true; readonly with?: object }
  | { readonly do: 'update' | 'status'; readonly with: object }
  | { readonly do: 'scale'; readonly replicas: number }
  | { readonly do: 'table' };

/** Requests about one object of its own, in order. What upstream's server answered to each is in `testdata/verdicts`. */
export interface Case {
  readonly title: string;
  readonly of: Sample;
  readonly steps: readonly Step[];
}

/** A case of creation alone. */
export const create = (title: string, of: Sample, patch: object = {}): Case => ({
  title,
  of,
  steps: [{ do: 'create', with: patch }],
});

/** A case of a change to what was created. */
export const change = (title: string, of: Sample, patch: object, before: object = {}): Case => ({
  title,
  of,
  steps: [
    { do: 'create', with: before },
    { do: 'update', with: patch },
  ],
});

const spec = (members: object): object => ({ spec: members });

export const createSpec = (title: string, of: Sample, members: object = {}): Case =>
  create(title, of, spec(members));

export const changeSpec = (title: string, of: Sample, members: object, before: object = {}): Case =>
  change(title, of, spec(members), spec(before));
