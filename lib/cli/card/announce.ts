/** What is about to be written where: all that the question is about. */
import type { BuildEvent } from '../../engine/events.ts'
import type { KnownCard } from '../../images/cards/known.ts'
import type { DiskImage } from '../../images/flash/types.ts'
import { describe } from '../../images/values/describe.ts'
import type { DeviceValues } from '../../images/values/types.ts'
import { formatBytes } from '../format.ts'
import { contents, hardware } from './describe.ts'

type Answer = Extract<BuildEvent, { type: 'answer' }>

/** One card: its hardware, what is on it, what comes, and whose identity is lost by that. */
export function announcement(
  card: KnownCard,
  image: DiskImage,
  { values, files }: { values: DeviceValues | undefined; files: boolean },
): Answer {
  const { name, infos, claimed, receipt } = card
  const devices = infos.map((info) => `${info.name.padEnd(12)} ${hardware(info)}`)
  const facts = [
    `on it now: ${infos.map(contents).join(', ')}`,
    ...(receipt && card.held
      ? [`last written: ${receipt.image.name}, ${new Date(receipt.when).toISOString().slice(0, 10)}`]
      : []),
    `${files ? 'updated from' : 'to be written'}: ${image.name} (${formatBytes(image.size)}), ${howText(card, files)}`,
    ...(values ? [`with ${describe(values).join(', ')}`] : []),
    ...(claimed === undefined ? [] : [lossText(claimed.described, files)]),
  ]
  const indent = `\n${' '.repeat(13)}`
  return {
    type: 'answer',
    text: [devices.join('\n'), ...facts].join(indent),
    data: {
      card: name,
      devices: infos.map(({ name, path, vendor, model, serial, size, transport, partitions, content }) => {
        return { name, path, vendor, model, serial, size, transport, partitions, content }
      }),
      image: { name: image.name, sha256: image.sha256, size: image.size },
      how: files ? 'files' : card.held ? 'receipt' : card.why === undefined ? 'full' : 'compared',
      why: card.why ?? null,
      claimed: claimed ?? null,
    },
  }
}

function howText({ held, why, sampled }: KnownCard, files: boolean): string {
  if (files) return 'file by file'
  if (why === undefined && !held) return 'all of it'
  if (held) return `what differs is known from its receipt (${formatBytes(sampled)} sampled)`
  return `what differs is found by reading it: ${why}`
}

function lossText(described: string, files: boolean): string {
  if (files) return `it belongs to ${described}, which stays so`
  return `it belongs to ${described}: THIS IDENTITY WILL BE LOST (--files would keep it)`
}

/** `Write to sdc and sdd?` */
export function question(cards: readonly KnownCard[], files: boolean): string {
  const names = cards.map(({ name }) => name).join(' and ')
  const lost = files ? [] : cards.filter(({ claimed }) => claimed)
  if (lost.length === 0) return `Write to ${names}?`
  return `Write to ${names}, so that the identity on ${lost.map(({ name }) => name).join(' and ')} is lost?`
}
