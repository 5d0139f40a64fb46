/** Other programs read our layers, and we read theirs. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import tarStream from 'tar-stream'
import { type LayerEntry, readLayer } from '../../../lib/formats/layer.ts'
import { attributes, directory, file, type Member, pack, symlink, unpack } from '../../helpers/layers.ts'
import { needs, needsRoot } from '../../helpers/needs.ts'

const run = promisify(execFile)
const env = { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' }

let folder: string
let archive: string

const capability = Buffer.from('010000020000000000000080000000000000ff00', 'hex')
const members: Member[] = [
  directory('dir', { mode: 0o2775, uid: 3_000_000, gid: 3_000_001 }),
  file('dir/a\nb"c\\d e', 'odd', { mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 } }),
  file(`dir/${'é'.repeat(127)}`, 'long', { mtime: { seconds: 1_700_000_000, nanoseconds: 0 } }),
  file('dir/old', 'x', { mtime: { seconds: -315_619_200, nanoseconds: 250_000_000 } }),
  file('dir/late', 'x', { mtime: { seconds: 9_000_000_000, nanoseconds: 0 } }),
  file('dir/program', '#!', {
    mode: 0o4755,
    uid: 1000,
    gid: 4_294_967_294,
    xattrs: new Map([
      ['security.capability', capability],
      ['user.binary', Buffer.from([0xff, 0, 0x0a, 0x80])],
      ['user.a=b%c', Buffer.from('value')],
    ]),
  }),
  { entry: { ...attributes('dir/second'), type: 'hardlink', target: 'dir/old' } },
  {
    entry: {
      ...attributes('dir/sparse'),
      type: 'file',
      size: 5_000_000,
      extents: [{ offset: 1 << 20, length: 4096 }],
    },
    data: Buffer.alloc(4096, 'z'),
  },
  { entry: { ...attributes('dir/hole'), type: 'file', size: 3_000_000, extents: [] }, data: Buffer.alloc(0) },
  { entry: { ...attributes('null', { mode: 0o666 }), type: 'character', major: 1, minor: 3 } },
  { entry: { ...attributes('disk', { mode: 0o660, gid: 6 }), type: 'block', major: 4095, minor: 1_048_575 } },
  { entry: { ...attributes('pipe', { mode: 0o600 }), type: 'fifo' } },
  symlink('link', '../é'),
  symlink('longlink', 't'.repeat(300)),
  { entry: { type: 'whiteout', path: 'dir/gone' } },
  { entry: { type: 'opaque', path: 'dir' } },
]

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetsie-tar-'))
  archive = join(folder, 'layer.tar')
  await writeFile(archive, await pack(members))
})
after(() => rm(folder, { recursive: true, force: true }))

const tarPath = ({ entry }: Member): string => {
  if (entry.type === 'whiteout') return entry.path.replace(/[^/]*$/, '.wh.$&')
  return entry.type === 'opaque' ? `${entry.path}/.wh..wh..opq` : entry.path
}

async function compare(
  target: string,
  { entry, data }: Member,
  skip: { oldTime?: boolean } = {},
): Promise<void> {
  if (entry.type === 'whiteout' || entry.type === 'opaque') return
  // Of one inode, only the first name's attributes count.
  if (entry.type === 'hardlink') {
    const [one, two] = await Promise.all([entry.path, entry.target].map((path) => stat(join(target, path))))
    assert.equal(one!.ino, two!.ino)
    return
  }
  const args = ['--printf', '%f %u %g %s %t:%T %.Y', join(target, entry.path)]
  const [mode, uid, gid, size, rdev, time] = (await run('stat', args, { env })).stdout.split(' ')
  const where = entry.path
  assert.equal(Number.parseInt(mode!, 16) & 0o7777, entry.mode, where)
  assert.deepEqual([Number(uid), Number(gid)], [entry.uid, entry.gid], where)
  if (entry.type === 'character' || entry.type === 'block') {
    assert.equal(rdev, `${entry.major.toString(16)}:${entry.minor.toString(16)}`)
  }
  const { seconds, nanoseconds } = entry.mtime
  if (entry.type === 'file' && seconds !== 0 && !(skip.oldTime && seconds < 0)) {
    const exact = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
    const [, sign, whole, fraction] = /^(-?)(\d+)\.(\d+)$/.exec(time!)!
    assert.equal(BigInt(`${sign}${whole}${fraction}`), exact, where)
  }
  if (entry.type === 'file') {
    assert.equal(Number(size), entry.size, where)
    await compareContent(join(target, entry.path), entry, data!)
  }
  for (const [name, value] of entry.xattrs) {
    const command: string[] = ['--absolute-names', '--only-values', '-n', name, join(target, where)]
    const dump: { stdout: Buffer } = await run('getfattr', command, { encoding: 'buffer' })
    assert.deepEqual(dump.stdout, value, `${where} ${name}`)
  }
}

async function compareContent(
  path: string,
  entry: LayerEntry & { type: 'file' },
  data: Buffer,
): Promise<void> {
  const expected = Buffer.alloc(entry.size)
  let at = 0
  for (const { offset, length } of entry.extents ?? [{ offset: 0, length: entry.size }]) {
    data.copy(expected, offset, at, at + length)
    at += length
  }
  assert.ok((await readFile(path)).equals(expected), path)
  if (entry.extents) assert.ok((await stat(path)).blocks * 512 < entry.size / 2, `${path} has its holes`)
}

describe('layer: other programs read ours', () => {
  it('GNU tar lists every member with numeric owners', async () => {
    const { stdout } = await run(
      'tar',
      ['--numeric-owner', '--quoting-style=literal', '--show-transformed-names', '-tf', archive],
      { env },
    )
    assert.equal(
      stdout,
      (await unpack(await readFile(archive)))
        .map((member) => `${tarPath(member)}${member.entry.type === 'directory' ? '/' : ''}\n`)
        .join(''),
    )
    const long = await run('tar', ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-tvvf', archive], {
      env,
    })
    assert.match(long.stdout, /drwxrwsr-x +3000000\/3000001 .* dir\/\n/)
    assert.match(long.stdout, /brw-rw---- +0\/6 +4095,1048575 /)
    assert.match(long.stdout, /x: 20 security\.capability\n/)
  })

  it('GNU tar unpacks them to the same files', { skip: needsRoot || needs('getfattr') }, async () => {
    const target = join(folder, 'gnu')
    await mkdir(target)
    await run('tar', ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', archive, '-C', target], {
      env,
    })
    for (const member of members) await compare(target, member)
  })

  it('bsdtar unpacks them to the same files', {
    skip: needsRoot || needs('bsdtar', 'getfattr'),
  }, async () => {
    const target = join(folder, 'bsd')
    await mkdir(target)
    const plain = await packWithout('user.a=b%c')
    await run('bsdtar', ['--numeric-owner', '--xattrs', '-xpf', plain.path, '-C', target], { env })
    // libarchive adds the fraction of a time before 1970 with the wrong sign, reading as well as writing.
    for (const member of plain.members) await compare(target, member, { oldTime: true })
  })

  it('Python reads every member', { skip: needs('python3') }, async () => {
    const script = `
import json, sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    print(json.dumps([[m.name, m.type.decode(), m.mode, m.uid, m.gid, m.size, m.linkname, m.uname, m.mtime] for m in tar]))`
    const { stdout } = await run('python3', ['-c', script, archive], { env })
    const listed = JSON.parse(stdout) as [
      string,
      string,
      number,
      number,
      number,
      number,
      string,
      string,
      number,
    ][]
    assert.equal(listed.length, members.length)
    const byName = new Map(listed.map((row) => [row[0], row]))
    for (const member of members) {
      const row = byName.get(tarPath(member))
      assert.ok(row, tarPath(member))
      const { entry } = member
      if (entry.type === 'whiteout' || entry.type === 'opaque') continue
      assert.deepEqual(row.slice(2, 5), [entry.mode, entry.uid, entry.gid])
      assert.equal(row[7], '', 'no user name')
      assert.equal(row[8], entry.mtime.seconds + entry.mtime.nanoseconds / 1e9)
      if (entry.type === 'file') assert.equal(row[5], entry.size)
      if (entry.type === 'symlink') assert.equal(row[6], entry.target)
    }
  })

  it('tar-stream reads every member that is not sparse', async () => {
    const found = new Map<string, { uid: number; gid: number; size: number; text: string }>()
    const extract = tarStream.extract()
    createReadStream(archive).pipe(extract)
    for await (const entry of extract) {
      const parts: Buffer[] = []
      for await (const part of entry as AsyncIterable<Buffer>) parts.push(part)
      const { name, uid = 0, gid = 0, size = 0 } = entry.header
      const pax = entry.header.pax as Record<string, string> | undefined
      found.set(name, { uid, gid, size, text: Buffer.concat(parts).toString() })
      if (name === 'dir') assert.deepEqual([pax?.['uid'], pax?.['gid']], ['3000000', '3000001'])
    }
    for (const member of members) {
      if (member.entry.type !== 'file' || member.entry.extents) continue
      assert.equal(found.get(member.entry.path)?.text, member.data!.toString(), member.entry.path)
    }
  })
})

/** libarchive 3.6 does not undo GNU tar's escapes in an attribute's name. */
async function packWithout(xattr: string): Promise<{ path: string; members: Member[] }> {
  const kept = members.map((member): Member => {
    if (!('xattrs' in member.entry) || !member.entry.xattrs.has(xattr)) return member
    const xattrs = new Map([...member.entry.xattrs].filter(([name]) => name !== xattr))
    return { ...member, entry: { ...member.entry, xattrs } }
  })
  const path = join(folder, 'plain.tar')
  await writeFile(path, await pack(kept))
  return { path, members: kept }
}

describe('layer: we read what other programs write', () => {
  const long = `${'n'.repeat(120)}/${'m'.repeat(120)}`
  let tree: string

  before(async () => {
    tree = join(folder, 'tree')
    await mkdir(join(tree, 'n'.repeat(120)), { recursive: true })
    await writeFile(join(tree, long), 'long name')
    await writeFile(join(tree, 'é'), 'utf-8')
    await run('truncate', ['-s', '4M', join(tree, 'sparse')])
    await run('dd', [
      'if=/dev/zero',
      `of=${join(tree, 'sparse')}`,
      'bs=4096',
      'count=1',
      'seek=300',
      'conv=notrunc',
    ])
    await run('truncate', ['-s', '2M', join(tree, 'hole')])
    // More ranges than the header of the old format holds.
    for (let i = 0; i < 30; i++) {
      await run('dd', [
        'if=/dev/urandom',
        `of=${join(tree, 'many')}`,
        'bs=4096',
        'count=1',
        `seek=${i * 32}`,
        'conv=notrunc',
      ])
    }
    await run('ln', [join(tree, 'é'), join(tree, 'second')])
    await run('ln', ['-s', 't'.repeat(150), join(tree, 'link')])
    await run('mkfifo', ['-m', '640', join(tree, 'pipe')])
    if (!needsRoot) {
      await chown(join(tree, 'é'), 3_000_000, 3_000_001)
      await run('setfattr', ['-n', 'user.x', '-v', '0xff00fe', join(tree, 'é')])
    }
  })

  const writers: [
    title: string,
    command: string,
    args: string[],
    holds: { owner: boolean; xattrs: boolean },
  ][] = [
    [
      'GNU tar, posix, sparse, with attributes',
      'tar',
      ['--format=posix', '-S', '--xattrs', '--sort=name'],
      { owner: true, xattrs: true },
    ],
    ['GNU tar, gnu, sparse in its old form', 'tar', ['--format=gnu', '-S'], { owner: true, xattrs: false }],
    ['GNU tar, gnu, without holes', 'tar', ['--format=gnu'], { owner: true, xattrs: false }],
    ['bsdtar, pax, sparse, with attributes', 'bsdtar', ['--format=pax'], { owner: true, xattrs: true }],
    ['bsdtar, gnutar', 'bsdtar', ['--format=gnutar'], { owner: true, xattrs: false }],
  ]
  for (const [title, command, args, holds] of writers) {
    it(title, { skip: needs(command) }, async () => {
      const path = join(folder, `${title}.tar`)
      await run(command, [...args, '-cf', path, '-C', tree, '.'], { env })
      const found = new Map<string, LayerEntry>()
      for await (const { entry, content } of readLayer(createReadStream(path))) {
        found.set(entry.path, entry)
        if (entry.type !== 'file') continue
        const parts: Buffer[] = []
        for await (const part of content) parts.push(part)
        const data = Buffer.concat(parts)
        const whole = Buffer.alloc(entry.size)
        let at = 0
        for (const { offset, length } of entry.extents ?? [{ offset: 0, length: entry.size }]) {
          data.copy(whole, offset, at, at + length)
          at += length
        }
        assert.ok(whole.equals(await readFile(join(tree, entry.path))), entry.path)
      }
      assert.deepEqual(
        [...found.keys()].sort(),
        ['hole', 'link', long, long.slice(0, 120), 'many', 'pipe', 'second', 'sparse', 'é'].sort(),
      )
      assert.equal((found.get('link') as { target: string }).target, 't'.repeat(150))
      assert.deepEqual([found.get('é')!.type, found.get('second')!.type].sort(), ['file', 'hardlink'])
      const entry = [found.get('é')!, found.get('second')!].find(
        ({ type }) => type === 'file',
      ) as LayerEntry & { type: 'file' }
      if (!needsRoot && holds.owner) assert.deepEqual([entry.uid, entry.gid], [3_000_000, 3_000_001])
      if (!needsRoot && holds.xattrs)
        assert.deepEqual(entry.xattrs.get('user.x'), Buffer.from([0xff, 0, 0xfe]))
    })
  }

  for (const [format, names] of [
    ['ustar', ['sparse', 'pipe']],
    ['v7', ['sparse']],
  ] as const) {
    it(`GNU tar, ${format}`, async () => {
      const path = join(folder, `${format}.tar`)
      await run('tar', [`--format=${format}`, '-cf', path, '-C', tree, ...names], { env })
      const members = await unpack(await readFile(path))
      assert.deepEqual(
        members.map(({ entry }) => entry.path),
        names,
      )
      assert.ok(members[0]!.data!.equals(await readFile(join(tree, 'sparse'))))
    })
  }
})
