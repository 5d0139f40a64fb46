/** Whether a FAT filesystem is sound: fsck.fat judges a sparse copy of all that it looks at. */
import { rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { type Place, Window } from '../window.ts'
import type { FatReader } from './reader.ts'

const piece = 4 * 1024 * 1024

/** As for ext: the image that is edited is gone when this is read. */
export function mendFatHint({ offset, size }: Place): string {
  const copy = `dd if=IMAGE of=part.img bs=512 skip=${offset / 512} count=${size / 512}`
  const back = `dd if=part.img of=IMAGE bs=512 seek=${offset / 512} conv=notrunc`
  return `unpack the stock image, mend it, and build from that: ${copy}; fsck.fat -a part.img; ${back}`
}

/** fsck.fat takes no offset and reads no file's content: tables and folders are enough for it. */
export async function fsckFat(
  run: Run,
  window: Window,
  reader: FatReader,
  tmp: string,
  fault: { code: 'E_DAMAGED' | 'E_STAGE'; what: string; hint?: string },
): Promise<void> {
  const copy = join(tmp, 'fsck.img')
  await writeFile(copy, '')
  await truncate(copy, window.size)
  const target = new Window(copy, { offset: 0, size: window.size }, 'r+')
  try {
    for (const [position, length] of metadataPlaces(reader)) {
      for (let at = 0; at < length; at += piece) {
        target.write(position + at, window.read(position + at, Math.min(piece, length - at)))
      }
    }
  } finally {
    target.close()
  }
  const { stdout, stderr, exitCode } = await run('fsck.fat', ['-n', copy], { okCodes: [0, 1, 2] })
  await rm(copy)
  if (exitCode === 0) return
  const said = `${stdout}${stderr}`
    .split('\n')
    .filter((text) => text !== '' && !/^fsck\.fat \d/.test(text) && !text.includes(copy))
  const details = fault.hint === undefined ? {} : { hint: fault.hint }
  throw new FleetsieError(
    fault.code,
    `${fault.what} does not pass fsck.fat -n:\n${said.slice(0, 10).join('\n')}`,
    details,
  )
}

/** Everything in front of the clusters, and all folders: [position, length]. */
export function* metadataPlaces(reader: FatReader): Generator<[number, number]> {
  yield [0, reader.geometry.dataAt]
  const waiting = [reader.rootId]
  const seen = new Set<number>()
  while (waiting.length > 0) {
    const id = waiting.pop()!
    for (const place of reader.folderPlaces(id)) {
      // A folder within itself.
      if (seen.has(place[0]))
        throw new FleetsieError('E_DAMAGED', 'two folders share a cluster', {
          hint: 'check the partition with `fsck.fat -n`',
        })
      seen.add(place[0])
      if (place[0] >= reader.geometry.dataAt) yield place
    }
    for (const child of reader.list(id).values())
      if (reader.node(child).type === 'directory') waiting.push(child)
  }
}
