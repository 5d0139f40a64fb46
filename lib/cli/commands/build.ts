/** The verbs that build. */
import { type Command, Option } from 'commander'
import type { Session } from '../session.ts'
import { collect, positive, verb } from './verb.ts'

export function buildCommands(root: Command, session: Session): void {
  verb(
    root,
    'build [target...]',
    'build targets of pipeline.ts; the first one when none is named',
    'build --keep-going',
  )
    .option('-j, --jobs <n>', 'stages at once', positive)
    .option('-k, --keep-going', 'after a failure, build what does not depend on it')
    .option('--offline', 'fail instead of downloading')
    .addOption(
      new Option('--no-cache [stage]', 'run this stage, or all, although the result is known').argParser(
        collect,
      ),
    )
    .option('--check', 'build everything twice and compare the results')
    .option('--debug-shell', 'open a shell in the work folder of a stage that fails')
    .option('-n, --dry-run', 'say what would run, and why')
    .action(async (targets: string[], options) =>
      (await import('../verbs/build.ts')).build(session, targets, options),
    )

  verb(
    root,
    'watch [target...]',
    'build targets, and again after each edit',
    "watch debian --then './try-in-qemu.sh'",
  )
    .option('-j, --jobs <n>', 'stages at once', positive)
    .option('--offline', 'fail instead of downloading')
    .option('--until <stage>', 'stop at this stage')
    .option('--then [command]', 'run this by sh after each build, or a program: --then -- PROGRAM ARGUMENTS')
    .option('--sync <destination>', 'bring what layers change to a running device at once: USER@HOST')
    .action(async (targets: string[], options) =>
      (await import('../verbs/watch.ts')).watch(session, targets, options),
    )
}
