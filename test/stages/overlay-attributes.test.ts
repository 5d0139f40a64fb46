import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, readFile, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Source } from '../../lib/engine/stage.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import {
  attributes,
  build,
  git,
  outside,
  project,
  refused,
  second,
  sourcesOf,
  write,
} from '../helpers/overlays.ts'

const skip = needs('git')

describe('overlay: owner, mode and time', { skip }, () => {
  const files = { 'overlays/part_2/usr/bin/tool': '#!/bin/sh\n', 'overlays/part_2/etc/motd': 'hello\n' }

  it('root:root, 0755 or 0644 by the exec bit, no time; folders that hold something are left to the image', async () => {
    const cwd = await project(files)
    await chmod(join(cwd, 'overlays/part_2/usr/bin/tool'), 0o6711)
    await chmod(join(cwd, 'overlays/part_2/etc/motd'), 0o666)
    const entries = await second(cwd)
    assert.deepEqual(
      [...entries.values()],
      [
        { ...attributes('etc/motd', 0o644), type: 'file', size: 6 },
        { ...attributes('usr/bin/tool', 0o755), type: 'file', size: 10 },
      ],
    )
  })

  it('umask, times, owner and the folder where it lies change no byte', async () => {
    const cwd = await project(files)
    await chmod(join(cwd, 'overlays/part_2/usr/bin/tool'), 0o755)
    git(cwd, 'commit', '-qam', 'exec')
    const first = (await build(cwd)).tars
    const umask = process.umask(0o077)
    try {
      const clone = outside('a clone')
      git(outside('.'), 'clone', '-q', cwd, clone)
      await utimes(join(clone, 'overlays/part_2/etc/motd'), 5, 5)
      if (!needsRoot) execFileSync('chown', ['-R', '4242', clone])
      assert.deepEqual((await build(clone)).tars, first)
      const { sources } = await sourcesOf(clone, { from: 'overlays' })
      const stripped = (list: Source[]) => list.map((source) => ({ ...source, from: '' }))
      assert.deepEqual(stripped(sources), stripped((await sourcesOf(cwd, { from: 'overlays' })).sources))
    } finally {
      process.umask(umask)
    }
  })

  it('git is asked once, as long as it has the same programs as the folder', async () => {
    const cwd = await project(files)
    const log = join(outside('git calls'), 'log')
    const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim()
    const wrapper = `#!/bin/sh\necho call >> '${log}'\nexec '${real}' "$@"\n`
    await write(outside('git calls'), { 'bin/git': wrapper, log: '' })
    await chmod(outside('git calls/bin/git'), 0o755)
    const path = process.env['PATH']
    process.env['PATH'] = `${outside('git calls/bin')}:${path}`
    try {
      await sourcesOf(cwd, { from: 'overlays' })
      assert.equal(await readFile(log, 'utf8'), 'call\n')
    } finally {
      process.env['PATH'] = path
    }
  })

  it("where the filesystem has no exec bit, git's own is taken", async () => {
    const cwd = await project(files)
    git(cwd, 'update-index', '--chmod=+x', 'overlays/part_2/usr/bin/tool')
    git(cwd, 'config', 'core.fileMode', 'false')
    await chmod(join(cwd, 'overlays/part_2/etc/motd'), 0o755)
    const entries = await second(cwd)
    assert.deepEqual(
      [...entries.values()].map((entry) => 'mode' in entry && entry.mode),
      [0o644, 0o755],
    )
  })

  it('part_N.mtree says what differs, and makes what git cannot hold', async () => {
    const mtree = `#mtree
/set uid=0 gid=0
. type=dir
./usr/bin/tool mode=04755 gid=50 time=1700000000.500000000 xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA=
./usr/bin type=dir mode=0700
./home/pi type=dir uid=1000 gid=1000 mode=0750
./dev/spare type=char device=native,1,3 mode=0666
./run/pipe type=fifo mode=0600
./bin type=link link=usr/bin
./not/there optional mode=0600
`
    const cwd = await project({ ...files, 'overlays/part_2.mtree': mtree })
    const { entries, notes } = await build(cwd)
    const capability = Buffer.from('AQAAAgAgAAAAAAAAAAAAAAAAAAA=', 'base64')
    assert.deepEqual(
      [...entries.get('part_2.tar')!.values()],
      [
        { ...attributes('bin', 0o777), type: 'symlink', target: 'usr/bin' },
        { ...attributes('dev/spare', 0o666), type: 'character', major: 1, minor: 3 },
        { ...attributes('etc/motd', 0o644), type: 'file', size: 6 },
        { ...attributes('home/pi', 0o750), type: 'directory', uid: 1000, gid: 1000 },
        { ...attributes('run/pipe', 0o600), type: 'fifo' },
        { ...attributes('usr/bin', 0o700), type: 'directory' },
        {
          ...attributes('usr/bin/tool', 0o4755),
          type: 'file',
          size: 10,
          gid: 50,
          mtime: { seconds: 1_700_000_000, nanoseconds: 500_000_000 },
          xattrs: new Map([['security.capability', capability]]),
        },
      ],
    )
    assert.deepEqual(notes, [])
  })

  it('an mtree file needs no folder, and is a source itself', async () => {
    const cwd = await project({ 'overlays/part_3.mtree': './x type=dir\n' })
    assert.deepEqual([...(await build(cwd)).entries.get('part_3.tar')!.keys()], ['x'])
    assert.deepEqual(
      (await sourcesOf(cwd, { from: 'overlays' })).sources.map(({ path }) => path),
      ['overlays/part_3.mtree'],
    )
  })

  it('a line that would change the top folder is remarked upon', async () => {
    const cwd = await project({ ...files, 'overlays/part_2.mtree': '. type=dir mode=0700\n' })
    assert.match(
      (await build(cwd)).notes[0]!,
      /overlays\/part_2.mtree, line 1: the partition's top folder stays/,
    )
  })

  const wrong: [title: string, line: string, message: RegExp, hint: RegExp][] = [
    [
      'a file that is not there',
      './etc/none mode=0600',
      /line 1: "etc\/none" is not in the overlay/,
      /add the file/,
    ],
    [
      'a type that differs',
      './etc/motd type=dir',
      /is a file in the overlay, no directory/,
      /change the line/,
    ],
    ['a device over a file', './etc/motd device=native,1,3', /no device numbers/, /leave/],
    ['a target for a file', './etc/motd link=x', /is a file in the overlay/, /leave `link` out/],
    ['a device without numbers', './dev/x type=char mode=0600', /without numbers/, /device=native/],
    ['a device without a mode', './dev/x type=char device=native,1,3', /needs a mode/, /mode=/],
    ['a link without a target', './x type=link', /without a target/, /link=/],
    ['a folder with a target', './x type=dir link=y', /is no link/, /type=link/],
    ['a fifo with numbers', './x type=fifo mode=0600 device=native,1,3', /is no device/, /type=char/],
    ['a whiteout', './etc/.wh.x mode=0600', /is a whiteout/, /remove the line/],
    ['a user by name', './etc/motd uname=pi', /line 1: `uname=pi`/, /uid=/],
    ['a name of 256 bytes', `./${'x'.repeat(256)} type=dir`, /longer than 255 bytes/, /shorten/],
    ['a file below a file', './etc/motd/x type=dir', /no folder/, /(?:)/],
  ]
  for (const [title, line, message, hint] of wrong) {
    it(`in mtree, ${title} is refused`, async () => {
      const cwd = await project({ ...files, 'overlays/part_2.mtree': `${line}\n` })
      await refused(build(cwd), 'E_INPUT', message, hint)
    })
  }
})
