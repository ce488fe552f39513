import type { WhyAnswer } from '@cloudless/dns/external/external-dns';
import { askPage, isJson, type LocalFlags } from './local-dns.ts';
import { recordLines, servedLines, sourceText } from './record-text.ts';

/** `cloudless dns why NAME`. */
export async function why(name: string, flags: LocalFlags): Promise<void> {
  const json = isJson(flags);
  const answer = await askPage<WhyAnswer>(flags, `/why?name=${encodeURIComponent(name)}`);
  process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : whyText(answer));
  if (answer.records.length === 0) process.exitCode = 2;
}

/** The answer as people read it. */
export function whyText(answer: WhyAnswer): string {
  const lines = [
    answer.message,
    ...answer.records.flatMap((one) => servedLines(one).map((line) => `  ${line}`)),
  ];
  for (const lost of answer.lost) {
    lines.push(`not served, as ${sourceText(lost.from)} asks (${lost.reason}): ${lost.message}`);
    lines.push(...recordLines(lost).map((line) => `  ; ${line}`));
  }
  return `${lines.join('\n')}\n`;
}
