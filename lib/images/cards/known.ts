/** What a card holds before it is written, as far as that is known without reading all of it. */
import { findReceipt, type Receipt, receiptFolder } from '../flash/receipt.ts'
import { type CardIdentity, identifyCard } from '../flash/receipt-identity.ts'
import { type Belief, heldByReceipt, holdsImageAlone } from '../flash/receipt-trust.ts'
import type { DiskImage, Held } from '../flash/types.ts'
import type { CardVolume, ClaimedIdentity } from '../values/types.ts'
import { writablePartitions } from './areas.ts'
import type { OpenCard } from './open.ts'

export interface KnownCard extends OpenCard {
  /** Undefined where partitions of several disks are written as one. */
  identity: CardIdentity | undefined
  receipt: Receipt | undefined
  /** By the receipt. */
  held: Held | undefined
  /** Why nothing is known by it, as half a sentence; of all that is written in full, nothing has to be. */
  why: string | undefined
  /** Bytes that were read to see whether to believe it. */
  sampled: number
  /** The device that the card belongs to. */
  claimed: ClaimedIdentity | undefined
}

/**
 * Asks the receipt of the last flash, unless all is to be written, and looks whose card it is; by its name alone only where
 * `tmp` takes what has to be unpacked to know the image's.
 */
export async function knowCard(
  card: OpenCard,
  image: DiskImage,
  { env, full, tmp, signal }: { env: NodeJS.ProcessEnv; full: boolean; tmp?: string; signal: AbortSignal },
): Promise<KnownCard> {
  const identity = await identifyCard(card.infos)
  const receipt = identity && (await findReceipt(await receiptFolder(env), identity))
  const known = { ...card, identity, receipt, claimed: undefined, held: undefined, sampled: 0 }
  const belief: Belief | { why: undefined } = full
    ? { why: undefined }
    : identity
      ? await heldByReceipt({ receipt, identity, areas: card.areas, image, signal })
      : { why: 'its partitions are of several disks' }
  // It holds what an image brought and nothing else: to read the image's host name takes longer than all the rest.
  if ('held' in belief && holdsImageAlone(belief.held, card.areas, image)) {
    return { ...known, ...belief, why: undefined }
  }
  const { claimedIdentity } = await import('../values/claimed-identity.ts')
  const { hostnameOf } = await import('../values/look-into-image.ts')
  const claimed = await claimedIdentity(
    await volumesOf(card, image),
    tmp === undefined ? undefined : () => hostnameOf(image, { tmp, signal }),
  )
  return { ...known, claimed, ...('held' in belief ? { ...belief, why: undefined } : belief) }
}

/** The filesystems that a card has now: of a whole one by its own table, else by the partitions that are named. */
export async function volumesOf(
  { role, infos }: Pick<OpenCard, 'role' | 'infos'>,
  image: Pick<DiskImage, 'table'>,
): Promise<CardVolume[]> {
  const { volumesOnCard } = await import('../values/card-volumes.ts')
  if (role === 'disk') return volumesOnCard(infos[0]!.path)
  const parts = writablePartitions(image.table)
  const volumes = await Promise.all(infos.map(({ path }, i) => volumesOnCard(path, parts[i]!.number)))
  return volumes.flat()
}
