/** decompress: flipped bits, files that were cut off, and an index that lies. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withIndex } from '../helpers/claimed-xz.ts'
import { damage, flippedBit, image, run, tool, xz, zip } from './decompress-rig.ts'

test('an index that gives a block too little does not let it write over the next', async () => {
  const lied = withIndex(xz(['-T1', '--block-size=2MiB']), (records) =>
    records.map((record, i) => ({ ...record, uncompressed: record.uncompressed + [-512, 512, 0][i]! })),
  )
  await assert.rejects(run('i.xz', lied), damage('i.xz', /block 1/))
})

const noise = image.subarray(299_520, 310_272)
const small = {
  T1: xz(['-T1', '--block-size=4096'], noise),
  T2: xz(['-T2', '--check=sha256', '--block-size=4096'], noise),
}
for (const [name, file] of Object.entries(small)) {
  test(`flipped bits all over the blocks of an .xz made with -${name} are found, and the block is named`, async () => {
    const expected = await run('i.xz', file)
    assert.ok(expected.disk.equals(noise))
    const { blocks } = expected.manifest.xz!
    const [, second, third] = blocks
    const header = `\\(byte (${second!.offset}|${second!.offset + 1})\\)`
    const inSecond = new RegExp(`: block 2, bytes ${second!.offset} to \\d+$|${header}$`)
    // Block header, first and last byte of the data, padding and check of the second block, and some between.
    const spots = [
      second!.offset,
      second!.offset + 9,
      second!.offset + 14,
      third!.offset - 33,
      third!.offset - 1,
    ]
    for (let at = second!.offset + 40; at < third!.offset; at += 997) spots.push(at)
    for (const at of spots) {
      const bit = at * 8 + (at % 8)
      await assert.rejects(run('i.xz', flippedBit(file, bit)), damage('i.xz', inSecond), `bit ${bit}`)
    }
  })
}

for (const [name, content] of [
  ['i.xz', small.T1],
  ['i.gz', tool('gzip', ['-c'], noise)],
  ['i.zst', tool('zstd', ['-q', '-c'], noise)],
  ['i.zip', zip('ZIP_DEFLATED', ['i.img'])],
] as const) {
  test(`${name} cut off anywhere is damaged`, async () => {
    const lengths = [0, 1, 4, 6, 11, 12, 30, content.length - 1, content.length - 4, content.length - 13]
    for (let i = 1; i < 6; i++) lengths.push(Math.floor((content.length * i) / 6))
    for (const length of lengths) {
      await assert.rejects(run(name, content.subarray(0, length)), damage(name, /./), `${length} bytes`)
    }
  })
}
