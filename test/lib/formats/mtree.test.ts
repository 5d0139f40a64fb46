import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { FleetsieError } from '../../../lib/errors.ts'
import { type MtreeEntry, parseMtree, writeMtree } from '../../../lib/formats/mtree.ts'
import { needs, needsRoot } from '../../helpers/needs.ts'

const parse = (...lines: string[]): MtreeEntry[] => parseMtree(Buffer.from(`${lines.join('\n')}\n`))
const plain = (entries: MtreeEntry[]) => entries.map(({ line, xattrs, optional, ...entry }) => entry)

/** One line, and what it says. */
const meanings: [title: string, line: string, entry: object][] = [
  ['nothing but a name', './a', { path: 'a' }],
  ['octal mode', './a mode=4755', { path: 'a', mode: 0o4755 }],
  ['a mode with a zero in front', './a mode=04755', { path: 'a', mode: 0o4755 }],
  ['a mode of one digit', './a mode=0', { path: 'a', mode: 0 }],
  ['letters as mode', './a mode=u=rwx,go=rx', { path: 'a', mode: 0o755 }],
  ['setuid and sticky in letters', './a mode=u=rws,g=rxs,a+t', { path: 'a', mode: 0o7650 }],
  ['a mode that takes away again', './a mode=a=rwx,go-w', { path: 'a', mode: 0o755 }],
  ['owners as numbers', './a uid=3000000 gid=4294967294', { path: 'a', uid: 3_000_000, gid: 4_294_967_294 }],
  ['root by name', './a uname=root gname=root', { path: 'a', uid: 0, gid: 0 }],
  [
    'a number beside another name',
    './a uname=pi uid=1000 gname=pi gid=1001',
    { path: 'a', uid: 1000, gid: 1001 },
  ],
  [
    'time with nanoseconds',
    './a time=1700000000.000000001',
    { path: 'a', mtime: { seconds: 1_700_000_000, nanoseconds: 1 } },
  ],
  [
    'nanoseconds without the zeros before them',
    './a time=5.7',
    { path: 'a', mtime: { seconds: 5, nanoseconds: 7 } },
  ],
  ['time in whole seconds', './a time=5', { path: 'a', mtime: { seconds: 5, nanoseconds: 0 } }],
  [
    'a quarter past a second before 1970',
    './a time=-5.250000000',
    { path: 'a', mtime: { seconds: -5, nanoseconds: 250_000_000 } },
  ],
  ['a folder', './a type=dir', { path: 'a', type: 'directory' }],
  [
    'a link with a blank in its target',
    './a type=link link=x\\sy',
    { path: 'a', type: 'symlink', link: 'x y' },
  ],
  [
    'a device by its numbers',
    './a type=char device=native,1,3',
    { path: 'a', type: 'character', device: { major: 1, minor: 3 } },
  ],
  [
    "a device in Linux's form",
    './a type=block device=linux,0x103,1048575',
    { path: 'a', type: 'block', device: { major: 259, minor: 1_048_575 } },
  ],
  [
    'a device as the kernel packs it',
    './a type=char device=0x103',
    { path: 'a', type: 'character', device: { major: 1, minor: 3 } },
  ],
  [
    'a packed device with a large minor number',
    './a type=block device=0xfff3f0ff',
    { path: 'a', type: 'block', device: { major: 0x3f0, minor: 0xfffff } },
  ],
  ['a fifo', './a type=fifo', { path: 'a', type: 'fifo' }],
  ['flags that say nothing', './a flags=none', { path: 'a' }],
  ['checks of content, passed over', './a size=5 nlink=2 sha256=00 cksum=1 nochange ignore', { path: 'a' }],
  ['a comment behind it', './a mode=644 # mode=755', { path: 'a', mode: 0o644 }],
  ['a tab between words', './a\tmode=644', { path: 'a', mode: 0o644 }],
  ['the end of a line as Windows writes it', './a mode=644\r', { path: 'a', mode: 0o644 }],
  ['octal escapes', './\\303\\251\\040\\043', { path: 'é #' }],
  ['escapes as C has them', './\\a\\b\\t\\n\\v\\f\\r\\\\', { path: '\x07\b\t\n\v\f\r\\' }],
  ["NetBSD's escapes", './\\M-C\\M-)\\s\\^[\\^?\\#', { path: 'é \x1b\x7f#' }],
  ['hexadecimal escapes', './\\xc3\\xa9', { path: 'é' }],
  ['UTF-8 as it is', './é😀', { path: 'é😀' }],
  ['characters of patterns', './[a]*?', { path: '[a]*?' }],
  ['a byte order mark in a name', './\\357\\273\\277x', { path: '\ufeffx' }],
]

describe('mtree: what a line says', () => {
  for (const [title, line, entry] of meanings) it(title, () => assert.deepEqual(plain(parse(line)), [entry]))

  it('attributes in base64, padded or not, with escapes in the name', () => {
    const [entry] = parse('./a xattr.user.x=/wD+ xattr.user.a\\075b=AA xattr.user.e= optional')
    assert.deepEqual(
      entry!.xattrs,
      new Map([
        ['user.x', Buffer.from([255, 0, 254])],
        ['user.a=b', Buffer.from([0])],
        ['user.e', Buffer.alloc(0)],
      ]),
    )
    assert.equal(entry!.optional, true)
  })
})

describe('mtree: the lines together', () => {
  it('folders open and close, defaults hold until they are unset', () => {
    const text = [
      '#mtree',
      '/set type=file uid=5',
      '. type=dir',
      'etc type=dir uid=0',
      '    a \\',
      '        mode=600',
      '',
      '# note',
      '    b uid=6',
      '..',
      '/unset uid',
      'c',
      '/unset all',
      'd',
    ]
    assert.deepEqual(
      parse(...text).map(({ path, line, type, uid, mode }) => [path, line, type, uid, mode]),
      [
        ['', 3, 'directory', 5, undefined],
        ['etc', 4, 'directory', 0, undefined],
        ['etc/a', 5, 'file', 5, 0o600],
        ['etc/b', 9, 'file', 6, undefined],
        ['c', 12, 'file', undefined, undefined],
        ['d', 14, undefined, undefined, undefined],
      ],
    )
  })

  it('a full path moves the folder that short names are in', () => {
    const text = ['. type=dir', './usr/y type=file', 'rel', './etc/d type=dir', 'rel2', '..', 'up']
    assert.deepEqual(
      parse(...text).map(({ path }) => path),
      ['', 'usr/y', 'usr/rel', 'etc/d', 'etc/d/rel2', 'etc/up'],
    )
  })

  it('an empty file says nothing', () => assert.deepEqual(parse(), []))
})

const refusals: [title: string, lines: string[], message: RegExp, hint: RegExp | undefined][] = [
  [
    'an unknown keyword',
    ['', './a color=red'],
    /^line 2: there is no keyword `color`/,
    /known are type, mode/,
  ],
  ['a keyword without a value', ['./a mode'], /`mode` needs a value/, undefined],
  ['a keyword twice', ['./a uid=1 uid=2'], /twice/, undefined],
  ['a mode that is no mode', ['./a mode=rw-r--r--'], /no mode/, /octal/],
  ['a mode for nobody, which the umask would decide', ['./a mode=+x'], /no mode/, /u=rw/],
  ['a mode with a file type', ['./a mode=100644'], /more than permission bits/, /four digits/],
  ['a user by name', ['./a uname=pi'], /^line 1: `uname=pi`/, /write `uid=`/],
  ['a group by name', ['./a gname=video'], /`gname=video`/, /write `gid=`/],
  ['a wrong default, named with its own line', ['/set gname=x', './a'], /^line 1: `gname=x`/, /gid=/],
  ['a uid that is no number', ['./a uid=-1'], /uid=-1/, undefined],
  ['a uid beyond Linux', ['./a uid=4294967295'], /4294967294/, undefined],
  ['an unknown type', ['./a type=door'], /no type `door`/, /file, dir, link/],
  ['a type that every object has', ['./a type=constructor'], /no type/, undefined],
  ['a socket', ['./a type=socket'], /socket/, /leave it out/],
  ['more than nanoseconds', ['./a time=5.1234567890'], /time=5\.1234567890/, /nine digits/],
  ['a device of another system', ['./a type=char device=freebsd,1,3'], /no device of Linux/, /device=native/],
  ['a device number out of range', ['./a type=char device=native,4096,0'], /no device of Linux/, undefined],
  ['a flag', ['./a flags=schg'], /flags=schg/, /leave it out/],
  ['an attribute without a name', ['./a xattr.=AA=='], /without a name/, undefined],
  ['an attribute that is not base64', ['./a xattr.user.x=A!'], /not base64/, /base64 -w0/],
  ["an attribute in getfattr's form", ['./a xattr.user.x=0sAA=='], /not base64/, /base64 -w0/],
  ['an absolute path', ['/etc/passwd mode=600'], /no relative path/, /write `\.\/etc\/passwd`/],
  ['a path that leads upwards', ['./a/../b'], /does not stay/, /without/],
  ['`..` in octal', ['./\\056\\056/b'], /does not stay/, undefined],
  ['a slash in octal', ['a\\057b'], /does not stay/, undefined],
  ['a NUL in a name', ['./a\\000'], /NUL/, undefined],
  ['one `..` too many', ['. type=dir', '..'], /^line 2: `\.\.` leads above/, /remove/],
  ['words behind `..`', ['a type=dir', '.. mode=755'], /alone/, undefined],
  ['a path twice', ['./a', './b', './a mode=600'], /^line 3: "a" stands in line 1 already/, /join/],
  ['an unknown escape', ['./a\\q'], /unknown escape/, /\\134/],
  ['an octal escape beyond a byte', ['./a\\777'], /unknown escape/, undefined],
  ['a name that is not UTF-8', ['./\\377'], /not UTF-8/, /rename/],
  ['a # within a word, which tools read in two ways', ['./a link=x#y'], /`#` within/, /\\043/],
  ['a continued line at the end', ['./a \\'], /ends within a continued line/, /remove/],
  ['a line that is too long', [`./a link=${'x'.repeat(300_000)}`], /longer than 262144/, undefined],
]

describe('mtree: what is refused', () => {
  for (const [title, lines, message, hint] of refusals) {
    it(title, () => {
      assert.throws(
        () => parse(...lines).length,
        (error: FleetsieError) => {
          assert.ok(error instanceof FleetsieError, String(error))
          assert.equal(error.code, 'E_INPUT')
          assert.match(error.message, message)
          if (hint) assert.match(error.hint ?? '', hint)
          return true
        },
      )
    })
  }

  it('bytes that are not UTF-8', () => {
    assert.throws(() => parseMtree(Buffer.from([0x0a, 0x2e, 0xff, 0x0a])), {
      code: 'E_INPUT',
      message: /line 2: is not UTF-8/,
    })
  })
})

describe('mtree: judged by mtree and bsdtar', () => {
  let folder: string
  const names = [
    'plain',
    'a b',
    'a*b',
    '[x]',
    'q?',
    'tab\there',
    'nl\nx',
    'eq=al',
    'back\\slash',
    'esc\x1b',
    '\x7fdel',
    'é',
    '#hash',
    '..dots',
    '$d',
    '"q"',
    '~t',
    '😀',
  ]
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-mtree-'))
    mkdirSync(join(folder, 'dir', 'sub'), { recursive: true })
    for (const name of names) writeFileSync(join(folder, 'dir', name), name)
    symlinkSync('to "x y"\\z', join(folder, 'dir', 'link'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    utimesSync(join(folder, 'dir', 'plain'), -5, -315_619_199.75)
    if (!needsRoot) execFileSync('mknod', [join(folder, 'device'), 'b', '259', '70000'])
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const keywords = 'type,mode,uid,gid,time,link,device'
  const judge = (entries: MtreeEntry[]) => {
    const input = [...writeMtree(entries)].join('')
    return spawnSync('mtree', ['-p', folder, '-k', keywords], { input, encoding: 'utf8' })
  }

  for (const [title, args] of [
    ['as mtree describes them', ['mtree', '-c', '-p', '.', '-k', keywords]],
    ['as bsdtar describes them', ['bsdtar', '-cf', '-', '--format=mtree', '.']],
    [
      'as bsdtar describes them with defaults',
      ['bsdtar', '-cf', '-', '--format=mtree', '--options', 'mtree:use-set', '.'],
    ],
  ] as const) {
    it(`files ${title}, read and written again, satisfy mtree`, { skip: needs('mtree', 'bsdtar') }, () => {
      const [command, ...rest] = args
      const entries = parseMtree(
        execFileSync(command, rest, { cwd: folder, env: { ...process.env, LC_ALL: 'C.UTF-8' } }),
      )
      const found = new Set(entries.map(({ path }) => path))
      for (const name of names) assert.ok(found.has(`dir/${name}`), name)
      assert.equal(entries.find(({ path }) => path === 'dir/link')!.link, 'to "x y"\\z')
      if (!needsRoot)
        assert.deepEqual(entries.find(({ path }) => path === 'device')!.device, { major: 259, minor: 70_000 })

      const result = judge(entries)
      assert.equal(`${result.stdout}${result.stderr}`, '')
      assert.equal(result.status, 0)
      const wrong = entries.map((entry) => (entry.path === 'dir/a b' ? { ...entry, mode: 0o777 } : entry))
      assert.equal(judge(wrong).status, 2, 'the judge sees a wrong mode')
      assert.deepEqual(plain(parseMtree(Buffer.from([...writeMtree(entries)].join('')))), plain(entries))
    })
  }

  it('bsdtar lists what we write', { skip: needs('bsdtar') }, () => {
    const entries: MtreeEntry[] = names.map((name) => ({
      path: `dir/${name}`,
      line: 0,
      type: 'file',
      mode: 0o640,
      uid: 3_000_000,
      gid: 7,
      xattrs: new Map(),
      optional: false,
    }))
    const input = [...writeMtree(entries)].join('')
    const list = execFileSync('bsdtar', ['--numeric-owner', '-tvf', '-'], {
      input,
      cwd: tmpdir(),
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
    assert.equal(
      list.split('\n').filter((line) => /^-rw-r----- +0 3000000 +7 /.test(line)).length,
      names.length,
    )
  })

  it('attributes survive writing and reading', () => {
    const entries = parse('./a type=file xattr.user.x=/wD+ optional')
    assert.deepEqual(parse(...[...writeMtree(entries)].join('').trimEnd().split('\n')).at(-1), {
      ...entries[0],
      line: 3,
    })
  })
})
