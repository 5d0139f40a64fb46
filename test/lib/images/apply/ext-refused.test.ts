import assert from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { applyLayers } from '../../../../lib/images/apply.ts'
import { Bench, epoch, ext4Features, failsWith, file, whiteout } from './layers.ts'

const refused: [string, string[], string, RegExp, RegExp?][] = [
  [
    'a journal that has to be replayed',
    ['feature needs_recovery'],
    'E_DAMAGED',
    /part_2 .*journal has to be replayed/,
    /e2fsck -fy 'IMAGE\?offset=1048576'$/,
  ],
  ['the mark of errors', ['ssv state 3'], 'E_DAMAGED', /marked as having errors/, /e2fsck -fy/],
  ['no clean end', ['ssv state 0'], 'E_DAMAGED', /not unmounted cleanly/],
  [
    'a block that is in use but free in the bitmap',
    ['freeb 1 200'],
    'E_DAMAGED',
    /does not pass e2fsck -fn/,
    /e2fsck -fy/,
  ],
  ['quotas', ['feature quota'], 'E_UNSUPPORTED', /quota/],
]
for (const [what, commands, code, pattern, hint] of refused) {
  test(`a filesystem with ${what} is refused before the edit`, async (t) => {
    const bench = await (await Bench.open(t)).ext()
    await bench.tell(...commands)
    const sum = await bench.sum()
    await assert.rejects(bench.put(file('a', '')), failsWith(code, pattern, hint))
    assert.equal(await bench.sum(), sum)
  })
}

test('what does not fit is refused before the edit, with the missing size', async (t) => {
  const bench = await (await Bench.open(t)).ext(['-O', ext4Features, '-N', '64'])
  const sum = await bench.sum()
  const noise = Buffer.from(
    Array.from({ length: (40 * 2 ** 20) / 16 }, (_, i) => `${i}`.padStart(16, 'x')).join(''),
  )
  await assert.rejects(
    bench.put(file('big', noise)),
    failsWith(
      'E_TOO_SMALL',
      /part_2 has \d+ bytes free; the layers need \d+ bytes \([\d.]+ MiB\) more/,
      /grow/,
    ),
  )
  await assert.rejects(
    bench.put(...Array.from({ length: 100 }, (_, i) => file(`f${i}`, ''))),
    failsWith('E_TOO_SMALL', /inodes/, /grow/),
  )
  assert.equal(await bench.sum(), sum)
})

test('what a removal frees can be used by the same layer', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const noise = (size: number, c: string): Buffer => Buffer.alloc(size * 2 ** 20, c)
  await bench.put(file('big', noise(20, 'a')))
  await bench.put(whiteout('big'), file('other', noise(22, 'b')))
  await bench.fsck()
})

test('other kinds of filesystems are refused by name', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  bench.partition = { ...bench.partition, filesystem: 'xfs' }
  await assert.rejects(bench.put(file('a', '')), failsWith('E_UNSUPPORTED', /part_2 holds xfs/))
})

test('an aborted signal stops the edit and leaves no temporary files', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  const layer = await bench.layer(file('a', ''))
  const tmp = join(bench.dir, 'tmp')
  await mkdir(tmp)
  const signal = AbortSignal.abort()
  await assert.rejects(
    applyLayers({
      run: bench.run,
      disk: bench.disk,
      partition: bench.partition,
      layers: [layer],
      epoch,
      tmp,
      signal,
    }),
    failsWith('E_INTERRUPTED', /interrupted/),
  )
  assert.deepEqual(await readdir(tmp), [])
})
