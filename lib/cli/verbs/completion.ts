/** `completion`: the script that completes command lines in a shell, and the words that it asks for later. */
import type { Command } from 'commander'
import type { Session } from '../session.ts'
import { shortNames } from '../short-names.ts'

const programs = { names: ['fleetsie', 'fleetsie_mod'], short: shortNames }

export type Shell = 'bash' | 'zsh' | 'fish'
export type WordList = 'targets' | 'stages' | 'disks' | 'fleets' | 'hosts'

export async function completion(session: Session, shell: Shell, root: Command): Promise<void> {
  const { verbsOf } = await import('../completion/words.ts')
  const verbs = verbsOf(root)
  session.emit({ type: 'answer', text: (await script(shell, verbs)).trimEnd() })
}

async function script(
  shell: Shell,
  verbs: readonly import('../completion/words.ts').Verb[],
): Promise<string> {
  switch (shell) {
    case 'bash':
      return (await import('../completion/bash.ts')).bashScript(programs, verbs)
    case 'zsh':
      return (await import('../completion/zsh.ts')).zshScript(programs, verbs)
    case 'fish':
      return (await import('../completion/fish.ts')).fishScript(programs, verbs)
  }
}

/** Prints the words of one kind, a line each. Where there is no pipeline there are no targets: that is no failure here. */
export async function wordList(session: Session, list: WordList): Promise<void> {
  for (const word of await words(session, list)) session.emit({ type: 'answer', text: word })
}

async function words({ project }: Session, list: WordList): Promise<string[]> {
  if (list === 'disks') return (await import('../completion/disks.ts')).disks()
  if (list === 'fleets' || list === 'hosts') {
    const { knownFleets } = await import('../../fleet/client/fleet-folder.ts')
    const known = await knownFleets(process.env)
    return [...new Set(known.map(({ fleet, host }) => (list === 'fleets' ? fleet : host)))]
  }
  if (!project) return []
  const names = Object.keys(project.targets)
  if (list === 'targets') return names
  const { chooseTargets } = await import('../targets.ts')
  const { topological } = await import('../../engine/graph.ts')
  const stages = chooseTargets(project.targets, names).flatMap(({ root }) => topological(root))
  return [...new Set(stages.map((node) => node.stage.name))].sort()
}
