/** Pod Security Standards' levels, from nothing forbidden to everything hardened. */
export const levels = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof levels)[number];

/** One of a namespace's three policies; `minor` is that of Kubernetes whose checks count. */
export interface LevelVersion {
  level: Level;
  minor: number;
  /** As in messages: `baseline:latest`, `restricted:v1.30`. */
  text: string;
}

export interface Policy {
  enforce: LevelVersion;
  audit: LevelVersion;
  warn: LevelVersion;
}

/** A label that cannot be understood. */
export interface LabelProblem {
  label: string;
  value: string;
  message: string;
}

const prefix = 'pod-security.kubernetes.io/';
export const latestMinor = 36;

type Labels = Readonly<Record<string, string>> | undefined;

function versionOf(text: string | undefined): { minor: number; text: string } | undefined {
  if (text === undefined || text === 'latest') return { minor: latestMinor, text: 'latest' };
  const match = /^v1\.(0|[1-9]\d*)$/.exec(text);
  return match ? { minor: Number(match[1]), text } : undefined;
}

/**
 * Policies of a namespace by its labels (upstream: pod-security-admission/api/helpers.go). What enforcement cannot
 * understand counts as `restricted`, what warning cannot as `privileged`.
 */
export function policyOf(labels: Labels): { policy: Policy; problems: LabelProblem[] } {
  const problems: LabelProblem[] = [];
  const read = (mode: string, otherwise: Level, bad: Level): LevelVersion => {
    const levelText = labels?.[`${prefix}${mode}`];
    const versionText = labels?.[`${prefix}${mode}-version`];
    const known = levels.find((level) => level === levelText);
    const version = versionOf(versionText);
    if (levelText !== undefined && !known)
      problems.push({
        label: `${prefix}${mode}`,
        value: levelText,
        message: `must be one of ${levels.join(', ')}`,
      });
    if (!version)
      problems.push({
        label: `${prefix}${mode}-version`,
        value: versionText ?? '',
        message: 'must be "latest" or "v1.x"',
      });
    const level = levelText === undefined ? otherwise : (known ?? bad);
    const { minor, text } = version ?? { minor: latestMinor, text: 'latest' };
    return { level, minor, text: `${level}:${text}` };
  };
  const enforce = read('enforce', 'privileged', 'restricted');
  const audit = read('audit', 'privileged', 'privileged');
  const ownWarn = read('warn', 'privileged', 'privileged');
  const hasWarn = labels?.[`${prefix}warn`] !== undefined;
  const enforceIsClear = levels.some((level) => level === labels?.[`${prefix}enforce`]);
  return { policy: { enforce, audit, warn: !hasWarn && enforceIsClear ? enforce : ownWarn }, problems };
}
