/** The verbs and their options. Each verb's code is loaded when it is called, not before. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { version } from '../version.ts'
import { parseAge, parseSize } from './format.ts'
import type { Session } from './session.ts'

const description = `From a stock OS image to a provisioned fleet, as cached, content-addressed stages.

\`zx pipeline.ts VERB\` and \`fleetsie VERB\` are the same; \`help STAGE\` tells what a stage takes.`

export function program(session: Session): Command {
  const root = new Command('fleetsie')
    .description(description)
    .version(version)
    .exitOverride()
    .showHelpAfterError()
  root.helpCommand(true).configureHelp({ sortSubcommands: false })
  const verb = (usage: string, summary: string, example: string): Command =>
    root
      .command(usage)
      .description(summary)
      .addHelpText('after', `\nExample:\n  $ fleetsie ${example}`)
      .option('--json', 'print one JSON event a line')

  verb(
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
      (await import('./verbs/build.ts')).build(session, targets, options),
    )

  verb(
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
      (await import('./verbs/watch.ts')).watch(session, targets, options),
    )

  verb(
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
      (await import('./verbs/explain.ts')).explain(session, stage, options),
    )

  verb('graph [target]', 'draw the stages of a target', 'graph debian --format mermaid')
    .addOption(
      new Option('--format <format>', 'language of the drawing').choices(['dot', 'mermaid']).default('dot'),
    )
    .action(async (target: string | undefined, options) =>
      (await import('./verbs/graph.ts')).graph(session, target, options),
    )

  verb(
    'gc',
    'give disk space back: evict results that nobody needs',
    'gc --max-size 20G --max-age 30d --keep-last 3',
  )
    .option('--max-size <size>', 'until the store is smaller: 20G, 500M', size)
    .option('--max-age <age>', 'what was not used for so long: 30d, 12h', age)
    .option('--keep-last <n>', 'but keep so many results of each stage', positive)
    .option('-n, --dry-run', 'only say what would go')
    .action(async (options) => (await import('./verbs/gc.ts')).gc(session, options))

  const store = root.command('store').description('look after the store')
  store
    .command('verify')
    .description('read every object and compare it with its digest')
    .option('--repair', 'drop what is damaged; it is built again when it is needed')
    .option('--json', 'print one JSON event a line')
    .addHelpText('after', '\nExample:\n  $ fleetsie store verify --repair')
    .action(async (options) => (await import('./verbs/store-verify.ts')).storeVerify(session, options))

  verb(
    'verify <file>',
    'check the signature, chain, sums and provenance of an artifact',
    'verify out/sample_fleetsie.img.xz --ca ca.crt',
  )
    .option('--ca <file>', 'certificate of the authority that you trust; default: ca.crt beside the file')
    .action(async (file: string, options) =>
      (await import('./verbs/verify.ts')).verify(session, file, options),
    )

  const keys = root.command('keys').description('the key that artifacts are signed with')
  keys
    .command('new')
    .description('make a signing key and a certificate authority for it')
    .option('--name <name>', 'what the certificate is called', 'fleetsie signing key')
    .option('--json', 'print one JSON event a line')
    .addHelpText('after', "\nExample:\n  $ fleetsie keys new --name 'ACME images'")
    .action(async (options) => (await import('./verbs/keys.ts')).keysNew(session, options))
  keys
    .command('show')
    .description('show which key signs, and its certificate')
    .option('--json', 'print one JSON event a line')
    .addHelpText('after', '\nExample:\n  $ fleetsie keys show')
    .action(async (options) => (await import('./verbs/keys.ts')).keysShow(session, options))

  verb(
    'lock [file]',
    'refresh the list of Debian packages that `debian` installs',
    'lock debian.lock',
  ).action(async (file: string | undefined, options) =>
    (await import('./verbs/lock.ts')).lock(session, file, options),
  )

  verb('doctor', 'say what is missing on this machine, and the command that installs it', 'doctor').action(
    async (options) => (await import('./verbs/doctor.ts')).doctor(session, options),
  )
  return root
}

function positive(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new InvalidArgumentError('It takes a whole number above 0.')
}

function size(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined) return bytes
  throw new InvalidArgumentError('It takes a size such as 500M or 20G.')
}

function age(text: string): number {
  const ms = parseAge(text)
  if (ms !== undefined) return ms
  throw new InvalidArgumentError('It takes an age such as 12h or 30d.')
}

function collect(text: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before : []), ...text.split(',')]
}
