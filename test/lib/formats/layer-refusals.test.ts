import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FleetsieError } from '../../../lib/errors.ts'
import { unpack } from '../../helpers/layers.ts'
import { end, member, patched, pax } from '../../helpers/tar.ts'

const big = (value: number): string => String(value)
const refusals: [title: string, archive: Buffer, code: string, message: RegExp][] = [
  ['an absolute name', member('/etc/passwd'), 'E_UNSAFE', /at byte 0: the name "\/etc\/passwd" is absolute/],
  [
    'a name that leads upwards, behind another member',
    Buffer.concat([member('a'), member('x/../../etc')]),
    'E_UNSAFE',
    /at byte 512: .* leads upwards/,
  ],
  ['`..` alone', member('..', { type: '5' }), 'E_UNSAFE', /leads upwards/],
  [
    'a long name that is absolute',
    Buffer.concat([pax({ path: '/x' }), member('a')]),
    'E_UNSAFE',
    /at byte 1024.*absolute/,
  ],
  [
    'a GNU long name that leads upwards',
    Buffer.concat([member('././@LongLink', { type: 'L', data: Buffer.from('../x\0') }), member('a')]),
    'E_UNSAFE',
    /leads upwards/,
  ],
  [
    'a sparse name that is absolute',
    Buffer.concat([
      pax({
        'GNU.sparse.major': '1',
        'GNU.sparse.minor': '0',
        'GNU.sparse.name': '/x',
        'GNU.sparse.realsize': '0',
      }),
      member('a', { data: Buffer.from('0\n'.padEnd(512, '\0')) }),
    ]),
    'E_UNSAFE',
    /absolute/,
  ],
  [
    'a hard link that leads upwards',
    Buffer.concat([member('a'), member('b', { type: '1', link: '../a' })]),
    'E_UNSAFE',
    /link target/,
  ],
  [
    'a hard link to an absolute name',
    Buffer.concat([member('a'), member('b', { type: '1', link: '/a' })]),
    'E_UNSAFE',
    /absolute/,
  ],
  ['a hard link to nothing', member('b', { type: '1', link: 'a' }), 'E_DAMAGED', /no earlier file/],
  [
    'a hard link to a symbolic link',
    Buffer.concat([member('a', { type: '2', link: 'x' }), member('b', { type: '1', link: 'a' })]),
    'E_DAMAGED',
    /no earlier file/,
  ],
  ['one name twice', Buffer.concat([member('a'), member('./a')]), 'E_DAMAGED', /a second time/],
  ['a member without a name', member(''), 'E_DAMAGED', /without a name/],
  [
    'a symbolic link without a target',
    member('l', { type: '2' }),
    'E_INPUT',
    /at byte 0: .*without a target/,
  ],
  [
    'a name that is not UTF-8',
    member(Buffer.from([0x61, 0xff])),
    'E_INPUT',
    /at byte 0: the name .* is not UTF-8/,
  ],
  [
    'a link target that is not UTF-8',
    member('l', { type: '2', link: Buffer.from([0xff]) }),
    'E_INPUT',
    /the link target .* is not UTF-8/,
  ],
  ['a name with a NUL in its record', Buffer.concat([pax({ path: 'a\0b' }), member('a')]), 'E_INPUT', /NUL/],
  [
    'a name of 256 bytes',
    Buffer.concat([pax({ path: 'x'.repeat(256) }), member('a')]),
    'E_INPUT',
    /at byte 1024.*longer than 255/,
  ],
  [
    'a path of more than 4095 bytes',
    Buffer.concat([pax({ path: 'xxx/'.repeat(1025) }), member('a', { type: '5' })]),
    'E_INPUT',
    /longer than 4095/,
  ],
  ['a whiteout of nothing', member('etc/.wh.'), 'E_DAMAGED', /names nothing/],
  ['a whiteout of `.`', member('.wh..'), 'E_DAMAGED', /names nothing/],
  ['a whiteout of `..`', member('.wh...'), 'E_DAMAGED', /names nothing/],
  ['a mark of aufs', member('.wh..wh.plnk'), 'E_DAMAGED', /names nothing/],
  ['a whiteout that is a folder', member('.wh.a', { type: '5' }), 'E_DAMAGED', /empty file/],
  ['a whiteout that is a link', member('.wh.a', { type: '2', link: 'x' }), 'E_DAMAGED', /empty file/],
  ['a whiteout with content', member('.wh.a', { data: Buffer.from('x') }), 'E_DAMAGED', /empty file/],
  ['a file below a whiteout', member('.wh.a/b'), 'E_INPUT', /kept for whiteouts/],
  ['a folder with content', member('d', { type: '5', data: Buffer.from('x') }), 'E_DAMAGED', /1 bytes/],
  [
    'a link with content',
    member('l', { type: '2', link: 'x', data: Buffer.from('x') }),
    'E_DAMAGED',
    /1 bytes/,
  ],
  ['a socket or another unknown type', member('s', { type: 'Z' }), 'E_UNSUPPORTED', /type "Z"/],
  ['a volume label', member('v', { type: 'V' }), 'E_UNSUPPORTED', /volume label/],
  ['the second volume of an archive', member('v', { type: 'M' }), 'E_UNSUPPORTED', /another volume/],
  ['a folder of an incremental backup', member('v', { type: 'D' }), 'E_UNSUPPORTED', /incremental/],
  [
    'a wrong checksum',
    Buffer.from(member('a')).fill('z', 0, 1),
    'E_DAMAGED',
    /at byte 0: the header's checksum/,
  ],
  [
    'a size that is no number',
    patched(member('a'), 124, 'zzzzzzzzzzz'),
    'E_DAMAGED',
    /the size is no octal number/,
  ],
  [
    'a negative size in base 256',
    patched(member('a'), 124, Buffer.alloc(12, 0xff)),
    'E_DAMAGED',
    /size below zero/,
  ],
  [
    'a size beyond all limits',
    patched(member('a'), 124, Buffer.from([0x80, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    'E_DAMAGED',
    /out of every range/,
  ],
  ['a negative uid', patched(member('a'), 108, Buffer.alloc(8, 0xff)), 'E_INPUT', /the uid is -1/],
  ['a uid that is no number', Buffer.concat([pax({ uid: 'root' }), member('a')]), 'E_DAMAGED', /uid "root"/],
  ['a uid beyond Linux', Buffer.concat([pax({ uid: big(2 ** 32 - 1) }), member('a')]), 'E_DAMAGED', /uid/],
  ['a size record that is no number', Buffer.concat([pax({ size: '-1' }), member('a')]), 'E_DAMAGED', /size/],
  ['a time that is no number', Buffer.concat([pax({ mtime: '1e9' }), member('a')]), 'E_DAMAGED', /no time/],
  [
    'a size that says more than there is',
    patched(member('a'), 124, '00000004000\0'),
    'E_DAMAGED',
    /ends at byte 1536, within the content/,
  ],
  [
    'a pax header larger than its limit',
    patched(member('x', { type: 'x' }), 124, '77777777777\0'),
    'E_DAMAGED',
    /1048576 is the limit/,
  ],
  [
    'a pax record with a wrong length',
    Buffer.concat([member('x', { type: 'x', data: Buffer.from('13 path=abc\n') }), member('a')]),
    'E_DAMAGED',
    /pax record at its byte 0 has a wrong length/,
  ],
  [
    'a pax record of length zero',
    Buffer.concat([member('x', { type: 'x', data: Buffer.from('0 a=b\n') }), member('a')]),
    'E_DAMAGED',
    /wrong length/,
  ],
  [
    'a pax record whose length is shorter than itself',
    Buffer.concat([member('x', { type: 'x', data: Buffer.from('1\n') }), member('a')]),
    'E_DAMAGED',
    /wrong length/,
  ],
  [
    'a pax record without a key',
    Buffer.concat([member('x', { type: 'x', data: Buffer.from('5 =a\n') }), member('a')]),
    'E_DAMAGED',
    /no key/,
  ],
  ['a pax header with no member behind it', pax({ path: 'a' }), 'E_DAMAGED', /a member is missing/],
  [
    'an access list as text',
    Buffer.concat([pax({ 'SCHILY.acl.access': 'user::rw-' }), member('a')]),
    'E_UNSUPPORTED',
    /SCHILY.acl.access/,
  ],
  [
    'an attribute in broken base64',
    Buffer.concat([pax({ 'LIBARCHIVE.xattr.user.x': '!' }), member('a')]),
    'E_DAMAGED',
    /base64/,
  ],
  [
    'a sparse file in format 0.1',
    Buffer.concat([
      pax({ 'GNU.sparse.map': '0,1', 'GNU.sparse.size': '9' }),
      member('a', { data: Buffer.from('x') }),
    ]),
    'E_UNSUPPORTED',
    /format 0\.0/,
  ],
  ['a sparse file whose map is no list of numbers', sparseMember('x\n', 9), 'E_DAMAGED', /no number/],
  [
    'a sparse file with more ranges than the limit',
    sparseMember('9999999\n', 9),
    'E_DAMAGED',
    /1048576 is the limit/,
  ],
  [
    'a sparse file whose map and size differ',
    sparseMember('1\n0\n5\n', 9),
    'E_DAMAGED',
    /stores 0 bytes, its map says 5/,
  ],
  [
    'a sparse file whose range passes its end',
    sparseMember('1\n8\n5\n', 9, 'abcde'),
    'E_DAMAGED',
    /passes the file's end/,
  ],
  [
    'a sparse file whose ranges overlap',
    sparseMember('2\n0\n3\n1\n2\n', 9, 'abcde'),
    'E_DAMAGED',
    /out of order/,
  ],
]

function sparseMember(map: string, size: number, data = ''): Buffer {
  const records = {
    'GNU.sparse.major': '1',
    'GNU.sparse.minor': '0',
    'GNU.sparse.name': 's',
    'GNU.sparse.realsize': big(size),
  }
  const stored = Buffer.concat([Buffer.from(map.padEnd(512, '\0')), Buffer.from(data)])
  return Buffer.concat([pax(records), member('GNUSparseFile.0/s', { data: stored })])
}

describe('layer: what the reader refuses', () => {
  for (const [title, archive, code, message] of refusals) {
    it(title, async () => {
      await assert.rejects(unpack(Buffer.concat([archive, end])), (error: FleetsieError) => {
        assert.ok(error instanceof FleetsieError, String(error))
        assert.equal(error.code, code, error.message)
        assert.match(error.message, message)
        return true
      })
    })
  }

  it('something behind the end mark', async () => {
    const archive = Buffer.concat([member('a'), end, Buffer.alloc(512), member('b'), end])
    await assert.rejects(unpack(archive), { code: 'E_DAMAGED', message: /at byte 2048: something follows/ })
  })

  it('no archive at all', async () => {
    await assert.rejects(unpack(Buffer.alloc(0)), { code: 'E_DAMAGED', message: /end mark is missing/ })
    await assert.rejects(unpack(Buffer.from('PK\x03\x04'.repeat(300))), { code: 'E_DAMAGED' })
  })
})
