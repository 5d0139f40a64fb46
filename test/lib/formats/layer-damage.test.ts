import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../lib/errors.ts'
import { attributes, directory, file, pack, unpack } from '../../helpers/layers.ts'
import { end, member, patched, pax } from '../../helpers/tar.ts'

describe('layer: damage', () => {
  const whole = pack([
    directory('d', { uid: 3_000_000 }),
    file('d/f', 'x'.repeat(700), { xattrs: new Map([['user.x', Buffer.from([1])]]) }),
    {
      entry: { ...attributes('d/s'), type: 'file', size: 9000, extents: [{ offset: 4096, length: 2 }] },
      data: Buffer.from('ab'),
    },
  ])

  it('an archive cut anywhere is refused', async () => {
    const archive = await whole
    for (let length = 0; length < archive.length; length += length % 512 < 16 ? 1 : 7) {
      await assert.rejects(unpack(archive.subarray(0, length)), { code: 'E_DAMAGED' }, `cut at ${length}`)
    }
  })

  it('a flipped bit never gives a bug, and in a header never passes', async () => {
    const archive = await whole
    const headers: number[] = []
    for (let at = 0; at < archive.length; at += 512) {
      if (archive.toString('latin1', at + 257, at + 262) === 'ustar') headers.push(at)
    }
    assert.equal(headers.length, 6)
    const inHeader = (at: number): number | undefined =>
      headers.find((start) => at >= start && at < start + 512)
    for (let at = 0; at < archive.length; at += inHeader(at) === undefined ? 5 : 1) {
      const copy = Buffer.from(archive)
      copy[at] = copy[at]! ^ (1 << (at % 8))
      const error = await unpack(copy).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (error) {
        assert.ok(error instanceof FleetsieError, `byte ${at}: ${error}`)
        assert.notEqual(error.code, 'E_BUG')
      }
      const start = inHeader(at)
      // One checksum may be written in more than one way.
      const inSum = start !== undefined && at - start >= 148 && at - start < 156
      if (start !== undefined && !inSum) assert.ok(error, `byte ${at} passed`)
    }
  })
})

describe('layer: what other archives may hold', () => {
  const read = async (...parts: Buffer[]) =>
    (await unpack(Buffer.concat([...parts, end]))).map(({ entry }) => entry)

  it('the top folder is passed over, "./" and a folder\'s closing slash go', async () => {
    const entries = await read(
      member('./', { type: '5' }),
      member('./etc/', { type: '5' }),
      member('./etc//x/./y'),
    )
    assert.deepEqual(
      entries.map(({ path }) => path),
      ['etc', 'etc/x/y'],
    )
  })

  it("a global header counts for all members, a member's own record for it alone", async () => {
    const entries = await read(
      pax({ uid: '5' }, 'g'),
      member('a'),
      pax({ uid: '6' }),
      member('b'),
      pax({ uid: '' }),
      member('c'),
    )
    assert.deepEqual(
      entries.map((entry) => 'uid' in entry && entry.uid),
      [5, 6, 0],
    )
  })

  it('numbers in base 256, times before 1970 among them', async () => {
    const time = Buffer.alloc(12, 0xff)
    time[11] = 0xfe
    const owner = Buffer.from([0x80, 0, 0, 0, 0x00, 0x2d, 0xc6, 0xc0])
    const [entry] = await read(patched(patched(member('a'), 136, time), 108, owner))
    assert.deepEqual(entry, {
      ...attributes('a'),
      type: 'file',
      size: 0,
      uid: 3_000_000,
      mtime: { seconds: -2, nanoseconds: 0 },
    })
  })

  it('a v7 header, where a closing slash makes a folder', async () => {
    const [entry] = await read(patched(patched(member('d/'), 257, Buffer.alloc(255)), 156, '\0'))
    assert.deepEqual(entry, { ...attributes('d'), type: 'directory' })
  })

  it('a checksum of signed bytes', async () => {
    const block = member('x', { type: '2', link: Buffer.from('é') })
    const sum = block.reduce(
      (total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte < 128 ? byte : byte - 256),
      0,
    )
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    assert.equal((await read(block)).length, 1)
  })

  it('what GNU keeps where ustar has its prefix is no prefix', async () => {
    const block = patched(patched(member('f'), 257, 'ustar  \0'), 345, '14754324566\0')
    assert.deepEqual(
      (await read(block)).map(({ path }) => path),
      ['f'],
    )
  })

  it("libarchive's attributes, and the bytes of star's where both are there", async () => {
    const records = {
      'LIBARCHIVE.xattr.user.a%3Db': 'AP8',
      'LIBARCHIVE.xattr.user.x': 'AA==',
      'SCHILY.xattr.user.x': Buffer.from([0xff]),
    }
    const [entry] = await read(pax(records), member('a'))
    const xattrs = new Map([
      ['user.a=b', Buffer.from([0, 255])],
      ['user.x', Buffer.from([255])],
    ])
    assert.deepEqual(entry, { ...attributes('a'), type: 'file', size: 0, xattrs })
  })

  it('content that is not read is passed over', async () => {
    const entries = await read(member('a', { data: Buffer.alloc(5000, 1) }), member('b'))
    assert.deepEqual(
      entries.map(({ path }) => path),
      ['a', 'b'],
    )
  })
})
