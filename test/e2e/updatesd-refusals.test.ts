/** What `updatesd` refuses to write to, and what it asks before it writes. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { describe, test } from 'node:test'
import { cardProject, skip } from '../helpers/card-project.ts'
import { assertHolds, assertHoldsMapped, loopDevice, reports } from '../helpers/cards.ts'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'

describe('updatesd', { skip }, () => {
  const { inFolder, card, updatesd, scratch, raw } = cardProject()

  describe('is refused', () => {
    const cases: [title: string, args: () => string[], exit: number, message: RegExp][] = [
      ['no name at all', () => [], 1, /not enough device partitions given: missing #1/],
      ['too few names', () => [card('g.img')], 1, /not enough device partitions given: missing #2/],
      [
        'too many names',
        () => ['g', 'h', 'i'].map((name) => card(`${name}.img`)),
        1,
        /too many device partitions/,
      ],
      ['a name that is no partition', () => ['sdzz1', 'sdzz2'], 2, /^sdzz1 is really not a disk partition$/],
      ['a folder', () => [inFolder('.'), inFolder('.')], 2, /is really not a disk partition/],
      ['a device of characters', () => ['null', 'null'], 2, /null is really not a disk partition/],
      ['a device twice', () => [card('g.img'), inFolder('g.img')], 2, /named twice/],
      [
        'a link to the same',
        () => {
          rmSync(inFolder('link'), { force: true })
          symlinkSync('g.img', inFolder('link'))
          return ['--whole', card('g.img'), inFolder('link')]
        },
        2,
        /the same device as/,
      ],
      [
        'a card that is too small',
        () => ['--whole', card('g.img', 100 * MiB)],
        2,
        /too small: it has 104857600 bytes/,
      ],
      [
        'a partition that is too small',
        () => [card('g.img', MiB), card('h.img')],
        2,
        /the filesystem of partition 1 needs/,
      ],
      ['an empty file', () => ['--whole', card('g.img', 0)], 2, /it is empty/],
      [
        'the image itself',
        () => ['--whole', inFolder('first.img'), '--image', inFolder('first.img')],
        2,
        /the image itself is this file/,
      ],
      [
        'an image that is not there',
        () => ['--whole', card('g.img'), '--image', 'nosuch'],
        1,
        /no such file and no target/,
      ],
      ['--files with --full', () => ['--files', '--full', card('g.img')], 1, /exclude each other/],
      ['a dry run that unmounts', () => ['-n', '--unmount', card('g.img')], 1, /exclude each other/],
      [
        'a blank card with --files',
        () => ['--whole', card('g.img'), '--files', '-y'],
        1,
        /g\.img has no .*part_1.* with files/,
      ],
      [
        'a card with --files, of which one filesystem is damaged',
        () => {
          const path = card('g.img')
          execFileSync('cp', ['--sparse=always', raw(), path])
          execFileSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=1M', 'seek=4', 'count=1', 'conv=notrunc'], {
            stdio: 'pipe',
          })
          return ['--whole', path, '--files', '-y']
        },
        1,
        /g\.img has no .*part_1.* with files/,
      ],
      [
        'one name for two devices',
        () => ['--whole', card('g.img'), card('h.img'), '--set', 'hostname=x'],
        1,
        /the same name/,
      ],
      [
        'a value that is none',
        () => ['--whole', card('g.img'), '--set', 'hotsname=x'],
        1,
        /there is no such value/,
      ],
    ]
    for (const [title, args, exit, message] of cases) {
      test(title, async () => {
        const ended = await updatesd([...args(), '-y'])
        assert.equal(ended.code, exit, ended.stdout + ended.stderr)
        const told = ended.events.at(-1)
        assert.ok(told?.type === 'error')
        assert.match(told.message, message)
      })
    }

    test('whoever cannot be asked', async () => {
      const path = card('g.img')
      assert.equal((await updatesd(['--whole', path])).code, 1, '--json')
      const ended = await scratch().run(['updatesd', '--whole', path])
      assert.equal(ended.code, 3, 'no terminal')
      assert.match(ended.stderr, /try: with -y nothing is asked/)
      assert.equal(statSync(path).blocks, 0)
    })

    test('the disk of /', { skip: needsRoot }, async (t) => {
      const source = tool('findmnt', ['-no', 'SOURCE', '/']).trim()
      if (!source.startsWith('/dev/')) return t.skip(`/ is on ${source}`)
      const ended = await updatesd(['--whole', source, '-y', '--yes-really', '--unmount'])
      assert.equal(ended.code, 2, ended.stdout)
    })

    test('what is mounted, unless it may be unmounted', {
      skip: needsRoot || missing('losetup'),
    }, async (t) => {
      const path = card('g.img')
      const device = loopDevice((undo) => t.after(undo), path)
      execFileSync('mkfs.ext4', ['-q', device])
      const at = mkdtempSync(inFolder('mnt-'))
      execFileSync('mount', [device, at])
      t.after(() => spawnSync('umount', [at]))
      for (const name of [device, path]) {
        const ended = await updatesd(['--whole', name, '-y'])
        assert.equal(ended.code, 2, ended.stdout)
        assert.match(ended.stdout, /it is mounted at/)
      }
      reports(await updatesd(['--whole', device, '-y', '--unmount']))
      assertHoldsMapped(device, raw(), inFolder('first.bmap'))
    })

    test('a second writer', async () => {
      const path = card('g.img')
      const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo held; exec sleep 60'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      await new Promise((resolve) => holder.stdout.once('data', resolve))
      const ended = await updatesd(['--whole', path, '-y'])
      holder.kill()
      assert.equal(ended.code, 2, ended.stdout)
      assert.match(ended.stdout, /in use/)
    })
  })

  describe('asks at a terminal', { skip: missing('python3') }, () => {
    const rows: [answer: string, exit: number, meanwhile?: string][] = [
      ['y', 0],
      ['Y', 0],
      ['n', 3],
      ['', 3],
      ['yes', 3],
      ['\u0003', 130],
      ['y', 2, 'another card is put in'],
    ]
    for (const [answer, exit, meanwhile] of rows) {
      test(`${JSON.stringify(answer)}: exit ${exit}${meanwhile ? `, when ${meanwhile}` : ''}`, () => {
        const path = card('p.img')
        const other = card('other.img')
        const [command, args] = scratch().command(['updatesd', '--whole', path])
        const env = scratch().env({
          XDG_CACHE_HOME: inFolder('cache'),
          TERM: 'xterm',
          ...(meanwhile && { SWAP: other }),
        })
        const ended = spawnSync('python3', ['-c', terminal, answer, command, ...args], {
          cwd: scratch().project,
          env,
          encoding: 'utf8',
        })
        assert.equal(ended.status, exit, ended.stdout + ended.stderr)
        assert.match(ended.stdout, /Write to .*p\.img\? \(y\/N\)/)
        if (exit === 0) assertHolds(path, raw())
        else assert.equal(statSync(path).blocks, 0, 'nothing is written')
      })
    }
  })
})

/** Runs a program at a terminal of its own and types an answer when it is asked. */
const terminal = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
said, answered = b'', False
while True:
    try: more = os.read(fd, 4096)
    except OSError: break
    if not more: break
    said += more
    if not answered and b'(y/N)' in said:
        answered = True
        if 'SWAP' in os.environ: os.rename(os.environ['SWAP'], sys.argv[-1])
        os.write(fd, (sys.argv[1] + ('' if sys.argv[1] == chr(3) else chr(10))).encode())
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
