/** Cards for tests: files and loop devices, and what a verb said of them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { parseBmap } from '../../lib/formats/bmap-parse.ts'
import { tool } from './disks.ts'
import type { Finished } from './scratch.ts'

export type Report = Extract<BuildEvent, { type: 'card' }>

/** A file of zeros with holes. */
export function blankCard(path: string, size: number): string {
  writeFileSync(path, '')
  truncateSync(path, size)
  return path
}

/** A loop device over a file, or over a part of it; gone after the test. */
export function loopDevice(
  after: (undo: () => void) => void,
  file: string,
  part?: { offset: number; size: number },
): string {
  const range = part ? ['--offset', String(part.offset), '--sizelimit', String(part.size)] : []
  const device = tool('losetup', ['--find', '--show', ...range, file]).trim()
  after(() => tool('losetup', ['--detach', device]))
  return device
}

/** The reports of a call that ended well. */
export function reports(ended: Finished): Report[] {
  assert.equal(ended.code, 0, ended.stdout + ended.stderr)
  return ended.events.filter((event) => event.type === 'card')
}

/** How many pieces of 64 KiB differ between two files, as far as the shorter one goes. */
export function differingPieces(one: string, other: string): number {
  const piece = 65536
  const files = [openSync(one, 'r'), openSync(other, 'r')] as const
  const buffers = [Buffer.alloc(piece), Buffer.alloc(piece)] as const
  let count = 0
  try {
    const size = Math.min(statSync(one).size, statSync(other).size)
    for (let at = 0; at < size; at += piece) {
      const lengths = files.map((file, i) => readSync(file, buffers[i]!, 0, Math.min(piece, size - at), at))
      if (buffers[0].compare(buffers[1], 0, lengths[1], 0, lengths[0]) !== 0) count++
    }
  } finally {
    for (const file of files) closeSync(file)
  }
  return count
}

/** Fails unless the first bytes of `card` are those of `image` from byte `from` on, judged by cmp. */
export function assertHolds(card: string, image: string, from = 0, length = statSync(image).size): void {
  execFileSync('cmp', [`--bytes=${length}`, `--ignore-initial=0:${from}`, card, image], { stdio: 'pipe' })
}

/** The same of a card that was not blank: what a block map does not map may be anything. `bmap` is the map's file. */
export function assertHoldsMapped(
  card: string,
  image: string,
  bmap: string,
  part = { offset: 0, size: statSync(image).size },
): void {
  const { ranges, blockSize } = parseBmap(readFileSync(bmap))
  const from = part.offset
  const until = part.offset + part.size
  for (const { first, last } of ranges) {
    const start = Math.max(first * blockSize, from)
    const length = Math.min((last + 1) * blockSize, until) - start
    if (length <= 0) continue
    const skip = `--ignore-initial=${start - from}:${start}`
    execFileSync('cmp', [`--bytes=${length}`, skip, card, image], { stdio: 'pipe' })
  }
}
