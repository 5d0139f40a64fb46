/** Runs a peer as often as its length allows, and looks at what it made. */
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256OfFile } from '../../lib/images/hash-file.ts'
import { measure, type Sample } from '../measure.ts'
import type { NotRun, Output, Side } from '../row.ts'
import type { StockImage } from '../stock.ts'
import type { Workplace } from '../workplace.ts'
import { checkOutput } from './check.ts'
import type { Peer, PeerWork } from './peer.ts'

/** Milliseconds: what takes longer runs `few` times only, and without a run before that is not counted. */
const long = 10_000

export interface PeerRun extends Side {
  name: string
  output: Output
  about?: string
}

/**
 * `runs` runs after one that is not counted; of a peer that takes longer than ten seconds, `few`, all counted.
 * @throws with the reason where the peer cannot run, or its image is none that equals ours
 */
export async function runPeer(
  peer: Peer,
  at: { workplace: Workplace; stock: StockImage; overlays: string },
  { runs, few }: { runs: number; few: number },
): Promise<PeerRun> {
  const folder = join(at.workplace.root, `peer-${peer.name.replaceAll(' ', '-')}`)
  await mkdir(folder)
  const work: PeerWork = { ...at, folder }
  try {
    const { subject, output, about } = await peer.ready(work)
    const samples: Sample[] = []
    const sums = new Set<string>()
    let run = 0
    const again = async (): Promise<Sample> => {
      await subject.before?.(run++)
      const sample = await measure(subject)
      sums.add(await sha256OfFile(output))
      return sample
    }
    const first = await again()
    const counted = first.wall > long ? Math.min(few, runs) : runs
    if (first.wall > long) samples.push(first)
    while (samples.length < counted) samples.push(await again())
    await checkOutput(work, output)
    const made: Output = { size: (await stat(output)).size }
    if (samples.length > 1) made.same = sums.size === 1
    return { name: peer.name, subject, samples, output: made, ...(about ? { about } : {}) }
  } finally {
    await peer.tidy?.(work)
    // Files of a store may be read-only, and their folders as well.
    await rm(folder, { recursive: true, force: true })
  }
}

/** The row of a peer that could not run. */
export function peerNotRun(name: string, beside: string, error: unknown): NotRun {
  return { name, beside, notRun: shortReason(error) }
}

export function shortReason(error: unknown): string {
  const text = (error as Error).message.replaceAll(/\s+/g, ' ').trim()
  return text.length > 240 ? `${text.slice(0, 60)} … ${text.slice(-170)}` : text
}
