/** The verbs that show what was built, and why. */
import { type Command, Option } from 'commander'
import type { Session } from '../session.ts'
import { verb } from './verb.ts'

export function lookCommands(root: Command, session: Session): void {
  verb(
    root,
    'explain <stage>',
    'say what a stage depends on and what changed since it last ran',
    'explain save --against 2',
  )
    .option('-t, --target <target>', 'the target that the stage belongs to; default: the first')
    .option(
      '--against <run>',
      'compare with an earlier run: 1 is the last that differs, or the start of a key',
      '1',
    )
    .option('--all', 'show the whole list, not only what changed')
    .action(async (stage: string, options) =>
      (await import('../verbs/explain.ts')).explain(session, stage, options),
    )

  verb(
    root,
    'graph [target]',
    'draw the stages of a target, or show all that is known of them on a page',
    'graph debian --html out/debian.html',
  )
    .addOption(
      new Option('--format <format>', 'language of the drawing').choices(['dot', 'mermaid']).default('dot'),
    )
    .option('--html [file]', 'write a page for a browser; default: out/TARGET.html')
    .action(async (target: string | undefined, options) =>
      (await import('../verbs/graph.ts')).graph(session, target, options),
    )

  verb(
    root,
    'diff <a> <b>',
    'say in what two images differ, by partition and by file',
    'diff debian~1 debian',
  )
    .option('--only <path>', 'only what is at or below this path: part_2, part_2/etc, or /etc of any')
    .option('--text', 'show the lines in which text files differ')
    .option('--times', 'take another modification time for a change')
    .option('--exit-code', 'exit with 1 when something differs')
    .addHelpText(
      'after',
      `
A and B are image files (.img, .img.xz, .img.gz, .img.zst, .zip), disks, folders
of a desk, or what builds left in the store: TARGET, the result before that
(TARGET~1), or what one of its stages made (TARGET/decompress: the stock image).
A file that is called like a target is ./NAME.`,
    )
    .action(async (a: string, b: string, options) =>
      (await import('../verbs/diff.ts')).diff(session, a, b, options),
    )
}
