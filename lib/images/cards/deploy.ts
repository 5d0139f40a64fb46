/** What the stage `updatesd` does: the verb's work without a question, for a card that is always in the same place. */
import type { DeployContext, Input } from '../../engine/stage.ts'
import type { FlashProgress } from '../flash/types.ts'
import { openSavedImage } from './image.ts'
import { knowCard } from './known.ts'
import {
  type CardNames,
  closeTargets,
  expectElsewhere,
  type OpenCard,
  openCard,
  rereadTables,
  seeCards,
} from './open.ts'
import { type WriteResult, writeCards } from './write.ts'

interface Deployment {
  artifacts: Input
  whole?: string | string[] | undefined
  partitions?: string[] | undefined
  unmount: boolean
  yesReally: boolean
  full: boolean
}

type Context = Omit<DeployContext<unknown>, 'options'> & { readonly options: Deployment }

/** Writes the image to its cards. Fails with the first failure when all have ended. */
export async function deployCards({ options, cwd, run, tmp, jobs, signal, ...tell }: Context): Promise<void> {
  const { artifacts, unmount, yesReally, full } = options
  const access = { cwd, allowed: { unmount, yesReally }, run, signal }
  const seen = await seeCards(namesOf(options), access)
  await expectElsewhere(artifacts.path, seen)
  const image = await openSavedImage(artifacts.path, { run, tmp, jobs, signal })
  const open: OpenCard[] = []
  try {
    for (const one of seen) open.push(await openCard(one, image, access))
    const { env } = process
    const works = await Promise.all(
      open.map(async (one) => ({ card: await knowCard(one, image, { env, full, tmp, signal }) })),
    )
    for (const { card } of works) {
      if (card.claimed) tell.warn(`${card.name} belonged to ${card.claimed.described}: that is lost`)
    }
    const progress = total(tell.progress)
    const results = await writeCards({ image, works, full, env, run, signal, progress, warn: tell.warn })
    for (const result of results) tell.note(outcome(result))
    for (const result of results) if ('error' in result) throw result.error
  } finally {
    for (const { targets } of open) await closeTargets(targets)
    await rereadTables(open, run)
    await image.close()
  }
}

function namesOf({ whole = [], partitions }: Deployment): CardNames[] {
  if (partitions) return [{ role: 'partition', names: partitions }]
  return [whole].flat().map((name) => ({ role: 'disk', names: [name] }))
}

/** A stage has one bar: the phase that began last, over all cards that are in it. */
function total(tell: Context['progress']): (progress: FlashProgress) => void {
  const cards = new Map<string, FlashProgress>()
  return (progress) => {
    cards.set(progress.card, progress)
    const same = [...cards.values()].filter(({ phase }) => phase === progress.phase)
    const sum = (key: 'done' | 'total'): number => same.reduce((all, one) => all + one[key], 0)
    tell(sum('done'), sum('total'), 'bytes')
  }
}

function outcome(result: WriteResult): string {
  const { name } = result.card
  if ('error' in result) return `${name}: ${result.error.message}`
  const { how, bytesWritten, bytesVerified, bytesSaved } = result.written
  return `${name}: ${bytesWritten} bytes written (${how}), ${bytesVerified} verified, ${bytesSaved} saved; safe to remove`
}
