/** A card that holds less than it claims is found by a probe, which leaves no trace on any card. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { probeCapacity } from '../../../../lib/images/flash/capacity.ts'
import { openTarget } from '../../../../lib/images/flash/target.ts'
import type { Target } from '../../../../lib/images/flash/types.ts'
import { MiB } from '../../../helpers/disks.ts'
import { needs } from '../../../helpers/needs.ts'
import { virtualDisk } from '../../../helpers/virtual-disk.ts'
import { run, signal } from './receipt-rig.ts'

const skip = needs('nbdkit', 'nbdfuse', 'fusermount3')

const read = (at: string) => `dd if=$f skip=$((${at})) count=$3 iflag=skip_bytes,count_bytes status=none`
const write = (at: string) => `dd of=$f seek=$((${at})) conv=notrunc oflag=seek_bytes status=none`
/** What a card shows where nothing was written. */
const fill = 'test -e $f || seq 10000000 | head -c $((65 * 1048576)) > $f'
const wrapping = (size: number) => ({
  get_size: `${fill}; echo ${64 * MiB}`,
  pread: read(`$4 % ${size}`),
  pwrite: write(`$4 % ${size}`),
})
const dropping = (size: number, beyond: string) => ({
  get_size: `${fill}; echo ${64 * MiB}`,
  pread: `if [ $(($4 + $3)) -gt ${size} ]; then ${beyond}; else ${read('$4')}; fi`,
  pwrite: `if [ $(($4 + $3)) -gt ${size} ]; then cat > /dev/null; else ${write('$4')}; fi`,
})

const cards: [title: string, behaviour: Parameters<typeof virtualDisk>[1], failure: RegExp | undefined][] = [
  ['an honest card', wrapping(64 * MiB), undefined],
  ['one that begins anew at its half', wrapping(32 * MiB), /holds at most 33554432: .* overwrites its start/],
  ['one that begins anew after 23 MiB', wrapping(23 * MiB), /holds at most \d+: .* overwrites its start/],
  ['one that begins anew after an odd number of sectors', wrapping(10_000_384), /holds at most \d+: /],
  ['one that begins anew just before its end', wrapping(64 * MiB - 8192), /holds at most 67100672: /],
  ['one that drops what is behind 48 MiB', dropping(48 * MiB, 'head -c $3 /dev/zero'), /not there/],
  ['one that drops its last 4 KiB', dropping(64 * MiB - 4096, 'head -c $3 /dev/zero'), /not there/],
  [
    'one that cannot be read behind 48 MiB',
    dropping(48 * MiB, 'echo EIO too far >&2; exit 1'),
    /reading .* failed|cannot be read/,
  ],
]

describe('a probe for capacity', { skip, concurrency: 2 }, () => {
  for (const [title, behaviour, failure] of cards) {
    test(`${title} is ${failure ? 'found' : 'passed'}, and holds what it held`, async (t) => {
      const { path, kept } = await virtualDisk(t, behaviour)
      const digest = () => createHash('sha256').update(readFileSync(kept)).digest('hex')
      const before = digest()
      const target = await openTarget(path, { run })
      t.after(() => target.close())
      const probe = probeCapacity(target, signal)
      if (failure) await assert.rejects(probe, failure)
      else await probe
      assert.equal(digest(), before)
    })
  }
})

test('a probe of a file that is interrupted leaves it as it was', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-probe-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'card')
  writeFileSync(path, Buffer.alloc(3 * MiB, 'what was there'))
  truncateSync(path, 20 * MiB + 512)
  const before = readFileSync(path)
  const target = await openTarget(path, { run })
  t.after(() => target.close())
  await probeCapacity(target, signal)
  assert.ok(readFileSync(path).equals(before))
  const reason = new Error('enough')
  await assert.rejects(probeCapacity(target, AbortSignal.abort(reason)), reason)
  assert.ok(readFileSync(path).equals(before))
})

test('the first page is the first that it writes, and the last that it puts back', async () => {
  const bytes = Buffer.alloc(20 * MiB, 'what was there')
  const before = Buffer.from(bytes)
  const acts: (string | number)[] = []
  const card: Target = {
    ...{ path: 'card', id: 'card', kind: 'block', size: bytes.length, readOnly: false, direct: true },
    read: async (buffer, at) => void bytes.copy(buffer, 0, at),
    write: async (buffer, at) => {
      buffer.copy(bytes, at)
      // A cut at any other moment leaves a first page that nothing believes.
      if (!bytes.subarray(0, 4096).equals(before.subarray(0, 4096))) acts.push('invalid')
      else acts.push(buffer.length)
    },
    flush: async () => void acts.push('flush'),
    forget: async () => {},
    close: async () => {},
  }
  await probeCapacity(card, signal)
  assert.ok(bytes.equals(before))
  assert.deepEqual(acts.slice(0, 2), ['invalid', 'flush'])
  assert.deepEqual(acts.slice(-3), ['flush', 4096, 'flush'])
  assert.ok(acts.slice(0, -2).every((act) => act === 'invalid' || act === 'flush'))
})
