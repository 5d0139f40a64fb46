/** `diff` against what the kernel shows of the same images, mounted, and against builds in the store. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { copyFile, open, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { printable } from '../../lib/images/printable.ts'
import { missing, sfdiskTable, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'
import { type Finished, type Scratch, scratchCheckout, track } from '../helpers/scratch.ts'

interface Said {
  partition?: number
  path?: string
  kind?: string
  differs?: string[]
  lines?: string[]
  same?: boolean
  files?: number
  fact?: { name: string; before?: string; after?: string }
  disk?: { name: string }
  bytes?: unknown
}

const said = ({ events }: Finished): Said[] =>
  events.flatMap((event) => (event.type === 'answer' && event.data ? [event.data as Said] : []))
/** `part_2/etc/motd changed content mode`. */
const changes = (finished: Finished): string[] =>
  said(finished).flatMap(({ partition, path, kind, differs }) =>
    kind ? [[`part_${partition}/${path}`, kind, ...differs!].join(' ')] : [],
  )

type Facts = Record<'type' | 'content' | 'target' | 'device' | 'mode' | 'owner', string>

/** Every file below a mounted folder with all that Node tells of it; names are bytes as latin1. */
function listing(top: string): Map<string, Facts> {
  const found = new Map<string, Facts>()
  const visit = (path: Buffer, name: string): void => {
    const stat = lstatSync(path)
    found.set(name, {
      type: String(stat.mode & 0o170000),
      content: stat.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : '',
      target: stat.isSymbolicLink() ? readlinkSync(path, 'latin1') : '',
      device: stat.isBlockDevice() || stat.isCharacterDevice() ? String(stat.rdev) : '',
      mode: stat.isSymbolicLink() ? '' : String(stat.mode & 0o7777),
      owner: `${stat.uid}:${stat.gid}`,
    })
    if (!stat.isDirectory()) return
    for (const child of readdirSync(path, { encoding: 'buffer' })) {
      const bytes = child.toString('latin1')
      visit(Buffer.concat([path, Buffer.from('/'), child]), name === '' ? bytes : `${name}/${bytes}`)
    }
  }
  visit(Buffer.from(top), '')
  return found
}

function judged(before: Map<string, Facts>, after: Map<string, Facts>): string[] {
  const lines: string[] = []
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [a, b] = [before.get(path), after.get(path)]
    const name = `part_2/${printable(path)}`
    if (!a || !b) lines.push(`${name} ${a ? 'removed' : 'added'}`)
    else {
      const names = (Object.keys(a) as (keyof Facts)[]).filter((fact) => a[fact] !== b[fact])
      const [differs] = [
        a.type === b.type ? names : names.filter((fact) => !['content', 'target'].includes(fact)),
      ]
      if (differs.length > 0) lines.push(`${name} changed ${differs.join(' ')}`)
    }
  }
  return lines.sort()
}

/** What a shell does to a mounted root. */
const edits = String.raw`
set -e
echo edited >> etc/motd 2>/dev/null || echo new > etc/motd
rm -r usr/share/doc 2>/dev/null || true
rm etc/hostname
chmod 4711 etc/passwd
chown 1234:70000 etc/group
ln -sfn elsewhere etc/mtab
mkdir -p 'opt/a folder/deep'
printf 'one\ntwo\nthree\n' > 'opt/a folder/deep/text'
ln 'opt/a folder/deep/text' opt/linked
mknod opt/null c 1 3
mknod opt/wide c 300 70000
mkfifo opt/pipe
touch "$(printf 'opt/not-utf8-\377')" "$(printf 'opt/two\nlines')" "$(printf 'opt/rtl\342\200\256gnp')"
truncate -s 5000000 opt/sparse
printf x | dd of=opt/sparse bs=1 seek=3000000 conv=notrunc status=none
`

const programs = missing('xz', 'debugfs', 'mdir', 'git', 'sfdisk', 'mount', 'setfattr', 'gzip')
describe('diff', { skip: needsRoot || programs, timeout: 900_000 }, () => {
  let scratch: Scratch
  let a: string
  let b: string
  let expected: string[]
  const path = (name: string): string => join(scratch.folder, name)
  const diff = (...args: string[]): Promise<Finished> => scratch.run(['diff', ...args, '--json'])

  before(async () => {
    scratch = await scratchCheckout()
    ;[a, b] = [path('a.img'), path('b.img')]
    tool('sh', ['-c', `xz -dc ${join(checkout, 'fixtures/sample.img.xz')} > ${a}`])
    const [, root] = sfdiskTable(a).partitions as [unknown, { start: number }]
    const mounted = <T>(image: string, how: string, work: (folder: string) => T): T => {
      const folder = path('mounted')
      mkdirSync(folder, { recursive: true })
      tool('mount', ['-o', `loop,offset=${root.start * 512},${how}`, image, folder])
      try {
        return work(folder)
      } finally {
        tool('umount', [folder])
      }
    }
    mounted(a, 'rw', (folder) => {
      for (const name of ['etc/group', 'etc/passwd', 'etc/hostname', 'etc/motd']) {
        tool('sh', ['-c', `cd ${folder} && mkdir -p opt etc && [ -e ${name} ] || echo was > ${name}`])
      }
      tool('sh', [
        '-c',
        `cd ${folder} && ln -sfn somewhere etc/mtab && mkdir -p usr/share/doc/x && touch usr/share/doc/x/y`,
      ])
    })
    await copyFile(a, b)
    mounted(b, 'rw', (folder) => {
      tool('sh', ['-c', `cd ${folder} && ${edits}`])
      tool('setfattr', ['-n', 'user.note', '-v', 'x', join(folder, 'etc/passwd')])
    })
    tool('mcopy', ['-i', `${b}@@${4 * 2 ** 20}`, join(checkout, 'package.json'), '::new.json'])
    expected = judged(mounted(a, 'ro', listing), mounted(b, 'ro', listing))
      .map((line) => (line === 'part_2/etc/passwd changed mode' ? `${line} xattr` : line))
      .concat('part_1/new.json added')
      .sort()
  })
  after(() => scratch?.remove())

  test('says of two raw images what the kernel shows of them', async () => {
    const finished = await diff(a, b)
    assert.equal(finished.code, 0, finished.stderr)
    assert.deepEqual(changes(finished).sort(), expected)
    for (const part of [
      'etc/passwd changed mode xattr',
      'opt/not-utf8-\\xff added',
      'opt/two\\u{a}lines added',
    ]) {
      assert.ok(expected.includes(`part_2/${part}`), part)
    }
  })

  test('the same of packed ones, whichever way', async () => {
    tool('sh', ['-c', `xz -0 -k --block-size=16MiB ${b} && gzip -1 -k ${a}`])
    assert.deepEqual(changes(await diff(`${a}.gz`, `${b}.xz`)).sort(), expected)
    assert.deepEqual(changes(await diff(a, `${b}.xz`)).sort(), expected)
    tool('sh', ['-c', `xz -0 -k --block-size=16MiB ${a}`])
    assert.deepEqual(changes(await diff(`${a}.xz`, `${b}.xz`)).sort(), expected, 'most blocks are the same')
    const back = changes(await diff(`${b}.xz`, a)).sort()
    const turned = expected.map((line) =>
      line.replace(/ (added|removed)$/, (_, kind) => (kind === 'added' ? ' removed' : ' added')),
    )
    assert.deepEqual(back, turned.sort())
  })

  test('an image does not differ from itself, packed or not', async () => {
    const finished = await diff(b, `${b}.xz`, '--times', '--exit-code')
    assert.equal(finished.code, 0)
    assert.deepEqual(said(finished), [{ same: true, files: 0, added: 0, removed: 0, changed: 0, bytes: 0 }])
  })

  test('exits with 1 for a difference only when asked', async () => {
    assert.equal((await diff(a, b, '--exit-code')).code, 1)
    assert.equal((await diff(a, b, '--exit-code', '--only', 'part_2/nowhere')).code, 0)
  })

  test('shows one path only, and its lines', async () => {
    const finished = await diff(a, b, '--only', '/opt/a folder', '--text')
    assert.deepEqual(changes(finished), [
      'part_2/opt/a folder added',
      'part_2/opt/a folder/deep added',
      'part_2/opt/a folder/deep/text added',
    ])
    const lines = said(finished).flatMap((one) => one.lines ?? [])
    assert.deepEqual(lines, ['    @@ -0,0 +1,3 @@', '    +one', '    +two', '    +three'])
    const plain = await scratch.run(['diff', a, b, '--only', 'part_1'])
    assert.match(plain.stdout, /^part_1 vfat bootfs\n {2}\+ new\.json .*\n1 files? differ/m)
  })

  test('tells what differs in the tables', async () => {
    const c = path('c.img')
    await copyFile(a, c)
    tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--disk-id', c, '0x12345678'])
    tool('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', '--part-type', c, '1', 'e'])
    const finished = await diff(a, c)
    const facts = said(finished).flatMap(({ fact, disk }) => fact?.name ?? disk?.name ?? [])
    assert.deepEqual(facts.sort(), ['diskId', 'partuuid', 'partuuid', 'type'])
    assert.equal((await diff(a, c, '--exit-code')).code, 1)
  })

  test('says when only what no file holds differs', async () => {
    const c = path('d.img')
    await copyFile(a, c)
    // In the unused end of the second partition.
    const file = await open(c, 'r+')
    await file.write('x', 120 * 2 ** 20)
    await file.close()
    const finished = await diff(a, c)
    assert.deepEqual(said(finished).at(-2)?.bytes, 'metadata')
    assert.deepEqual(said(finished).at(-1)?.same, false)
  })

  const bad: [title: string, args: () => string[], code: number, says: RegExp][] = [
    ['a file that is not there', () => [a, path('none.img')], 1, /no such file, and no target/],
    ['a folder that is no desk', () => [a, scratch.folder], 1, /no desk/],
    ['an image that is cut off', () => [a, path('cut.img.xz')], 6, /cut\.img\.xz/],
    ['no image', () => [a, join(checkout, 'package.json')], 6, /package\.json/],
    ['a stage that is not there', () => ['sample/nothing', a], 1, /has no stage nothing/],
    ['a target that was never built', () => ['debian', a], 1, /never built/],
    ['a path that leaves the image', () => [a, b, '--only', '../etc'], 1, /--only/],
  ]
  test('refuses what it cannot compare, each with its exit code', async () => {
    await copyFile(`${b}.xz`, path('cut.img.xz'))
    await truncate(path('cut.img.xz'), 200_000)
    for (const [title, args, code, says] of bad) {
      const finished = await diff(...args())
      assert.equal(finished.code, code, `${title}: ${finished.stdout}${finished.stderr}`)
      assert.match(finished.stdout, says, title)
    }
  })

  test('knows what builds left in the store, the one before and each stage', async () => {
    const build = async (text: string): Promise<void> => {
      await scratch.write('overlays/part_2/etc/by-build', text)
      await track(scratch.project)
      const built = await scratch.run(['build', 'sample', '--json'])
      assert.equal(built.code, 0, built.stdout)
    }
    await build('one\n')
    await build('two\n')
    await build('two\n')
    const finished = await diff('sample~1', 'sample', '--text')
    assert.deepEqual(changes(finished), ['part_2/etc/by-build changed content'])
    assert.deepEqual(
      said(finished).flatMap(({ lines }) => lines ?? []),
      ['    @@ -1 +1 @@', '    -one', '    +two'],
    )
    const published = join(scratch.project, 'out/sample_fleetsie.img.xz')
    assert.deepEqual(
      said(await diff('sample', published)).map(({ same }) => same),
      [true],
    )
    assert.ok(changes(await diff('sample/decompress', 'sample')).includes('part_2/etc/by-build added'))
    const gone = await diff('sample~7', 'sample')
    assert.deepEqual([gone.code, /1 earlier result/.test(gone.stdout)], [1, true])
  })

  test('the desk of a folder is the image that it was made of', async () => {
    mkdirSync(path('desk'))
    tool('ln', ['-s', a, join(path('desk'), '.image')])
    assert.deepEqual(
      said(await diff(path('desk'), a)).map(({ same }) => same),
      [true],
    )
  })
})
