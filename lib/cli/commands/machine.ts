/** The verbs about this machine and what it can get. */
import { Argument, type Command, Option } from 'commander'
import { FleetsieError } from '../../errors.ts'
import type { Session } from '../session.ts'
import type { Shell, WordList } from '../verbs/completion.ts'
import { verb } from './verb.ts'

export function machineCommands(root: Command, session: Session): void {
  verb(
    root,
    'lock [file]',
    'refresh the list of Debian packages that `debian` installs',
    'lock debian.lock',
  ).action(async (file: string | undefined, options) =>
    (await import('../verbs/lock.ts')).lock(session, file, options),
  )

  verb(
    root,
    'doctor',
    'say what is missing on this machine, and the command that installs it',
    'doctor',
  ).action(async (options) => (await import('../verbs/doctor.ts')).doctor(session, options))

  root
    .command('completion')
    .description('print the script that completes command lines: bash, zsh, fish')
    .addArgument(new Argument('[shell]', 'the shell').choices(['bash', 'zsh', 'fish']))
    .addOption(
      new Option('--list <words>').choices(['targets', 'stages', 'disks', 'fleets', 'hosts']).hideHelp(),
    )
    .addHelpText('after', completionHelp)
    .action(async (shell: Shell | undefined, options: { list?: WordList }) => {
      const verbs = await import('../verbs/completion.ts')
      if (options.list) return verbs.wordList(session, options.list)
      if (shell) return verbs.completion(session, shell, root)
      throw new FleetsieError('E_USAGE', 'which shell? bash, zsh or fish', {
        hint: 'fleetsie completion bash',
      })
    })
}

const completionHelp = `
Examples:
  $ fleetsie completion fish >~/.config/fish/completions/fleetsie.fish
  $ fleetsie completion zsh >~/.zfunc/_fleetsie
with fpath+=~/.zfunc before compinit in ~/.zshrc; and for bash, which looks
for a file of each name:
  $ cd ~/.local/share/bash-completion/completions
  $ fleetsie completion bash >fleetsie
  $ for name in mod gen srv; do ln -sf fleetsie fleetsie_$name; done`
