import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../lib/errors.ts'
import { compareEntries, compareText, type LayerEntry, writeLayer } from '../../../lib/formats/layer.ts'
import { decodePax } from '../../../lib/formats/tar/pax.ts'
import { readTar } from '../../../lib/formats/tar/reader.ts'
import { attributes, directory, file, type Member, pack, symlink, unpack } from '../../helpers/layers.ts'

const bytes = (...values: number[]): Buffer => Buffer.from(values)
const at = (seconds: number, nanoseconds = 0) => ({ mtime: { seconds, nanoseconds } })
const device = (path: string, type: 'character' | 'block', major: number, minor: number): Member => ({
  entry: { ...attributes(path), type, major, minor },
})
const sparse = (
  path: string,
  size: number,
  extents: { offset: number; length: number }[],
  data: string,
): Member => ({
  entry: { ...attributes(path), type: 'file', size, extents },
  data: Buffer.from(data),
})

/** What comes back unchanged, and the pax records that it takes: none where ustar holds the value. */
const roundTrips: [title: string, member: Member, records: string[]][] = [
  ['a plain file', file('etc/motd', 'hello\n'), []],
  ['an empty file', file('etc/empty'), []],
  ['a file that fills its block', file('f', 'x'.repeat(512)), []],
  ['a folder', directory('etc'), []],
  ['setuid, setgid and sticky', file('f', '', { mode: 0o7755 }), []],
  ['the largest owner in ustar', file('f', '', { uid: 2097151, gid: 2097151 }), []],
  ['the first uid beyond ustar', file('f', '', { uid: 2097152 }), ['uid']],
  ['the first gid beyond ustar', file('f', '', { gid: 2097152 }), ['gid']],
  ['the largest owner of Linux', file('f', '', { uid: 4294967294, gid: 4294967294 }), ['uid', 'gid']],
  ['a time in seconds', file('f', '', at(1_700_000_000)), []],
  ['the last second of ustar', file('f', '', at(8_589_934_591)), []],
  ['a time after 2242', file('f', '', at(8_589_934_592)), ['mtime']],
  ['a nanosecond', file('f', '', at(1, 1)), ['mtime']],
  ['half a second', file('f', '', at(1_700_000_000, 500_000_000)), ['mtime']],
  ['a time before 1970', file('f', '', at(-315_619_200)), ['mtime']],
  ['half a second before 1970', file('f', '', at(-1, 500_000_000)), ['mtime']],
  ['a nanosecond before 1969-12-31 23:59:58', file('f', '', at(-3, 999_999_999)), ['mtime']],
  ['a name of 100 bytes', file('n'.repeat(100)), []],
  ['a name of 101 bytes', file('n'.repeat(101)), ['path']],
  ['a path that is cut at the prefix', file(`${'a'.repeat(155)}/${'b'.repeat(100)}`), []],
  ['a path one byte longer', file(`${'a'.repeat(156)}/${'b'.repeat(100)}`), ['path']],
  [
    'a folder whose closing slash is one too many',
    directory(`${'a'.repeat(155)}/${'b'.repeat(100)}`),
    ['path'],
  ],
  ['a folder that is cut at the prefix', directory(`${'a'.repeat(155)}/${'b'.repeat(99)}`), []],
  ['a name of 255 bytes', file(`${'é'.repeat(127)}x`), ['path']],
  ['a path of 4095 bytes', file(`${`${'d'.repeat(255)}/`.repeat(15)}${'f'.repeat(255)}`), ['path']],
  ['UTF-8 in a short name', file('étc/motd'), ['path']],
  ['newline, quote, backslash and blank', file('a\nb"c\\d e'), []],
  ['a leading dash', file('--help'), []],
  ['a symbolic link', symlink('l', '../x'), []],
  ['an absolute link target', symlink('l', '/usr/lib'), []],
  ['a link target of 100 bytes', symlink('l', 't'.repeat(100)), []],
  ['a link target of 101 bytes', symlink('l', 't'.repeat(101)), ['linkpath']],
  ['a link target in UTF-8', symlink('l', 'ß'), ['linkpath']],
  ['a character device', device('null', 'character', 1, 3), []],
  ['the largest block device', device('b', 'block', 4095, 1048575), []],
  ['a fifo', { entry: { ...attributes('p'), type: 'fifo' } }, []],
  [
    'an attribute with bytes that are no text',
    file('f', '', { xattrs: new Map([['user.x', bytes(0xff, 0, 0x0a, 0x80, 0x3d)]]) }),
    ['SCHILY.xattr.user.x'],
  ],
  ['an empty attribute', file('f', '', { xattrs: new Map([['user.x', bytes()]]) }), ['SCHILY.xattr.user.x']],
  [
    'an attribute whose name holds = and %',
    file('f', '', { xattrs: new Map([['user.a=b%c%3D', bytes(1)]]) }),
    ['SCHILY.xattr.user.a%3Db%25c%253D'],
  ],
  [
    'an attribute of 64 KiB',
    file('f', '', { xattrs: new Map([['user.x', Buffer.alloc(65536, 0x80)]]) }),
    ['SCHILY.xattr.user.x'],
  ],
  [
    'attributes of a folder and a link',
    symlink('l', 'x', { xattrs: new Map([['trusted.x', bytes(1)]]) }),
    ['SCHILY.xattr.trusted.x'],
  ],
  ['a whiteout', { entry: { type: 'whiteout', path: 'etc/motd' } }, []],
  ['a whiteout of a name of 255 bytes', { entry: { type: 'whiteout', path: 'x'.repeat(255) } }, ['path']],
  ['an opaque folder', { entry: { type: 'opaque', path: 'etc' } }, []],
  ['an opaque partition', { entry: { type: 'opaque', path: '' } }, []],
  ['a file with a hole', sparse('s', 10_000, [{ offset: 4096, length: 3 }], 'abc'), ['GNU.sparse']],
  [
    'a hole at the start',
    sparse('s', 5000, [{ offset: 4096, length: 904 }], 'x'.repeat(904)),
    ['GNU.sparse'],
  ],
  ['nothing but a hole, of 9 TB', sparse('s', 9e12, [], ''), ['GNU.sparse']],
  [
    'a sparse file in a long UTF-8 path',
    sparse(`${'ü'.repeat(99)}/s`, 10, [{ offset: 0, length: 1 }], 'a'),
    ['GNU.sparse'],
  ],
  ['data beyond 8 GiB', sparse('s', 2 ** 34, [{ offset: 2 ** 34 - 1, length: 1 }], 'z'), ['GNU.sparse']],
]

async function recordsOf(archive: Buffer): Promise<string[]> {
  for await (const { pax } of readTar([archive])) {
    return [...new Set([...pax.keys()].map((key) => (key.startsWith('GNU.sparse.') ? 'GNU.sparse' : key)))]
  }
  return []
}

describe('layer: what comes back unchanged', () => {
  for (const [title, member, records] of roundTrips) {
    it(title, async () => {
      const archive = await pack([member])
      assert.deepEqual(await unpack(archive), [member])
      assert.deepEqual(await recordsOf(archive), records)
      assert.deepEqual(await pack(await unpack(archive)), archive, 'equal input gives equal bytes')
      assert.equal(archive.length % 512, 0)
    })
  }

  it('a hard link to an earlier file', async () => {
    const members: Member[] = [
      file('a', 'x'),
      { entry: { ...attributes('b'), type: 'hardlink', target: 'a' } },
    ]
    assert.deepEqual(await unpack(await pack(members)), members)
  })

  it('more ranges than one block of the map holds', async () => {
    const extents = Array.from({ length: 1000 }, (_, i) => ({ offset: i * 8192, length: 1 }))
    const members = [sparse('s', 1000 * 8192, extents, 'x'.repeat(1000))]
    assert.deepEqual(await unpack(await pack(members)), members)
  })

  it('ranges that cover the whole file are no sparse file', async () => {
    const whole = sparse(
      's',
      6,
      [
        { offset: 0, length: 3 },
        { offset: 3, length: 3 },
      ],
      'abcdef',
    )
    assert.deepEqual(await pack([whole]), await pack([file('s', 'abcdef')]))
  })

  it('a size beyond 8 GiB has a record, and the header of ustar the most that it holds', async () => {
    const entry: LayerEntry = { ...attributes('big'), type: 'file', size: 2 ** 33 }
    const parts: Buffer[] = []
    for await (const part of writeLayer([{ entry }])) {
      parts.push(part)
      if (parts.length === 2) break
    }
    const records = decodePax(parts[0]!.subarray(512, 512 + 19), 'test')
    assert.deepEqual([...records], [['size', Buffer.from('8589934592')]])
    assert.equal(parts[1]!.toString('latin1', 124, 136), '77777777777\0')
  })

  it('attributes are sorted by the bytes of their names, whatever order they are given in', async () => {
    const one = file('f', '', {
      xattrs: new Map([
        ['user.b', bytes(1)],
        ['user.a', bytes(2)],
      ]),
    })
    const two = file('f', '', {
      xattrs: new Map([
        ['user.a', bytes(2)],
        ['user.b', bytes(1)],
      ]),
    })
    assert.deepEqual(await pack([one]), await pack([two]))
  })
})

describe('layer: order', () => {
  it('parents first, whole folders together, removals before what is put there', () => {
    const entries: LayerEntry[] = [
      { type: 'opaque', path: '' },
      { type: 'whiteout', path: 'z' },
      directory('a').entry,
      { type: 'opaque', path: 'a' },
      { type: 'whiteout', path: 'a/b' },
      { type: 'whiteout', path: 'a/c' },
      file('a/!').entry,
      directory('a/b').entry,
      { type: 'whiteout', path: 'a/b/x' },
      file('a/b/a').entry,
      file('a!').entry,
      file('a.b').entry,
      file('b').entry,
      file('\uffee').entry,
      file('😀').entry,
    ]
    const shuffled = [...entries].reverse()
    assert.deepEqual(shuffled.sort(compareEntries), entries)
    for (const entry of entries) assert.equal(compareEntries(entry, entry), 0)
  })

  it('text is compared as its UTF-8 bytes are', () => {
    const texts = ['', 'a', 'ab', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '😀a', '\u{10ffff}', 'Z']
    for (const a of texts) {
      for (const b of texts) {
        assert.equal(
          Math.sign(compareText(a, b)),
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
          `${a} ${b}`,
        )
      }
    }
  })
})

const refusals: [title: string, members: Member[], code: string, message: RegExp][] = [
  ['an absolute path', [file('/etc/motd')], 'E_INPUT', /relative paths/],
  ['`..`', [file('a/../../b')], 'E_INPUT', /relative paths/],
  ['an empty part', [file('a//b')], 'E_INPUT', /relative paths/],
  ['an empty name', [file('')], 'E_INPUT', /without a name/],
  ['a NUL in a name', [file('a\0b')], 'E_INPUT', /NUL/],
  ['half a character', [file('a\ud800')], 'E_INPUT', /not UTF-8/],
  ['a name of 256 bytes', [file('x'.repeat(256))], 'E_INPUT', /longer than 255 bytes/],
  ['a name of 256 bytes in 128 characters', [file('é'.repeat(128))], 'E_INPUT', /longer than 255 bytes/],
  [
    'a path of 4096 bytes',
    [file(`${`${'d'.repeat(127)}/`.repeat(31)}${'f'.repeat(128)}`)],
    'E_INPUT',
    /longer than 4095/,
  ],
  ['a file called like a whiteout', [file('a/.wh.b')], 'E_INPUT', /kept for whiteouts/],
  ['a folder called like a whiteout', [file('.wh.a/b')], 'E_INPUT', /kept for whiteouts/],
  ['a mode with a file type', [file('f', '', { mode: 0o100644 })], 'E_INPUT', /the mode is 33188/],
  ['the uid that means nobody', [file('f', '', { uid: 4294967295 })], 'E_INPUT', /the uid/],
  ['a negative gid', [file('f', '', { gid: -1 })], 'E_INPUT', /the gid/],
  ['a second of 10^9 nanoseconds', [file('f', '', at(0, 1e9))], 'E_INPUT', /the time/],
  ['a major number that Linux has not', [device('d', 'block', 4096, 0)], 'E_INPUT', /major/],
  ['a minor number that Linux has not', [device('d', 'block', 0, 1048576)], 'E_INPUT', /minor/],
  [
    'an attribute without a name',
    [file('f', '', { xattrs: new Map([['', bytes()]]) })],
    'E_INPUT',
    /extended attribute/,
  ],
  [
    'an attribute that is too long',
    [file('f', '', { xattrs: new Map([['user.x', Buffer.alloc(65537)]]) })],
    'E_INPUT',
    /65536 is the limit/,
  ],
  [
    'attributes that together are too long',
    [
      file('f', '', {
        xattrs: new Map(Array.from({ length: 17 }, (_, i) => [`user.${i}`, Buffer.alloc(65536)])),
      }),
    ],
    'E_INPUT',
    /extended attributes need/,
  ],
  ['a link to nothing', [symlink('l', '')], 'E_INPUT', /without a target/],
  ['a link target that is too long', [symlink('l', 'x'.repeat(4096))], 'E_INPUT', /4095/],
  [
    'a hard link to what is not there',
    [{ entry: { ...attributes('b'), type: 'hardlink', target: 'a' } }],
    'E_INPUT',
    /no earlier file/,
  ],
  ['a file below a file', [file('a'), file('a/b')], 'E_INPUT', /lies below "a", which is no folder/],
  ['one name twice', [file('a'), directory('a')], 'E_BUG', /after/],
  [
    'less content than the size',
    [{ entry: { ...attributes('f'), type: 'file', size: 4 }, data: Buffer.from('abc') }],
    'E_INPUT',
    /only 3 came/,
  ],
  [
    'more content than the size',
    [{ entry: { ...attributes('f'), type: 'file', size: 2 }, data: Buffer.from('abc') }],
    'E_INPUT',
    /more came/,
  ],
  [
    'ranges out of order',
    [
      sparse(
        's',
        9,
        [
          { offset: 5, length: 1 },
          { offset: 1, length: 1 },
        ],
        'ab',
      ),
    ],
    'E_INPUT',
    /out of order/,
  ],
  [
    'ranges that overlap',
    [
      sparse(
        's',
        9,
        [
          { offset: 1, length: 2 },
          { offset: 2, length: 1 },
        ],
        'abc',
      ),
    ],
    'E_INPUT',
    /out of order/,
  ],
  [
    'a range past the end',
    [sparse('s', 9, [{ offset: 8, length: 2 }], 'ab')],
    'E_INPUT',
    /passes the file's end/,
  ],
]

describe('layer: what the writer refuses', () => {
  for (const [title, members, code, message] of refusals) {
    it(title, async () => {
      await assert.rejects(pack(members), (error: FleetsieError) => {
        assert.ok(error instanceof FleetsieError, String(error))
        assert.equal(error.code, code)
        assert.match(error.message, message)
        return true
      })
    })
  }
})
