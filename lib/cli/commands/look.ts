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
}
