/** Cards from a pipeline's image: partitions and whole ones, what is refused, asked and reported, and what a cut leaves. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { readPartitionTable } from '../../lib/images/partitions.ts'
import {
  assertHolds,
  assertHoldsMapped,
  blankCard,
  differingPieces,
  loopDevice,
  reports,
} from '../helpers/cards.ts'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { copyCode, type Finished, type Scratch, scratchProject } from '../helpers/scratch.ts'
import { virtualDisk } from '../helpers/virtual-disk.ts'

const pipelineText = `import { decompress, fetch, mount, overlay, pipeline, save, updatesd } from 'CODE/lib/index.ts'
const stock = () => fetch({ file: 'stock.img.xz', sha256: '2a3cbc74ac37dd836342e593a6ac1f0029f0979d14db35613f84b87ece2509b9' })
const artifacts = () => {
  const image = decompress({ from: stock() })
  const layers = [overlay({ from: 'overlays' })]
  return save({ stock: stock(), image, table: mount({ image }), layers, name: 'test' })
}
await pipeline({
  image: artifacts,
  card: () => updatesd({ artifacts: artifacts(), whole: './deployed.img' }),
})
`
const cardSize = 150 * MiB
const honest = {
  get_size: `[ -f $f ] || truncate -s ${cardSize} $f; echo ${cardSize}`,
  pread: 'dd if=$f bs=64K iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none',
}

describe('updatesd', { skip: missing('xz', 'debugfs', 'cmp', 'flock', 'python3') }, () => {
  let folder = ''
  let scratch: Scratch
  let raw = ''
  const inFolder = (name: string): string => join(folder, name)
  const card = (name: string, size = cardSize): string => blankCard(inFolder(name), size)
  const updatesd = (args: readonly string[], how?: Parameters<Scratch['run']>[1]): Promise<Finished> =>
    scratch.run(['updatesd', '--json', ...args], {
      ...how,
      env: { XDG_CACHE_HOME: inFolder('cache'), ...how?.env },
    })
  const edit = (text: string): Promise<void> => scratch.write('overlays/part_2/etc/motd', text)
  /** Builds, and gives the image unpacked by xz. */
  const built = async (name: string): Promise<string> => {
    const ended = await scratch.run(['build', 'image', '--json'])
    assert.equal(ended.code, 0, ended.stdout + ended.stderr)
    const artifacts = ended.events.flatMap((event) => (event.type === 'artifacts' ? event.artifacts : []))
    const image = artifacts.find(({ path }) => path.endsWith('.img.xz'))!.path
    execFileSync('sh', ['-c', 'xz -dc -- "$1" >"$2"', 'sh', image, inFolder(name)])
    execFileSync('cp', [image.replace(/xz$/, 'bmap'), inFolder(name.replace(/img$/, 'bmap'))])
    return inFolder(name)
  }
  const undo = (t: TestContext) => (work: () => void) => t.after(work)

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-cards-'))
    // Another user reads it as well.
    chmodSync(folder, 0o755)
    await copyCode(join(folder, 'code'))
    scratch = await scratchProject(join(folder, 'code'))
    await scratch.write('pipeline.ts', pipelineText.replace('CODE', join(folder, 'code')))
    await edit('first\n')
    raw = await built('first.img')
  })
  after(async () => {
    await scratch?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  test('--whole writes a file, and again writes nothing', async () => {
    const path = card('a.img')
    const [first] = reports(await updatesd(['--whole', path, '-y']))
    assertHolds(path, raw)
    assert.equal(first!.how, 'compared')
    assert.ok(first!.bytesWritten > 0 && first!.bytesVerified >= first!.bytesWritten)
    const [again] = reports(await updatesd(['--whole', path, '-y']))
    assert.deepEqual([again!.how, again!.bytesWritten], ['receipt', 0])
    assert.ok(again!.sampled > 0, 'what a receipt says is not believed blindly')
    const [full] = reports(await updatesd(['--whole', path, '-y', '--full']))
    assert.equal(full!.how, 'full')
    assert.ok(full!.bytesWritten > first!.bytesWritten)
    assertHolds(path, raw)
  })

  test('after an edit of one file at most twice the changed pieces of 64 KiB are written, by receipt and by reading', async () => {
    const [one, two] = [card('b.img'), card('c.img')]
    reports(await updatesd(['--whole', one, two, '-y']))
    await edit('second\n')
    const now = await built('second.img')
    const changed = differingPieces(raw, now) * 65536
    assert.ok(changed > 0)
    // As if somebody had been there.
    execFileSync('touch', [two])
    const told = reports(await updatesd(['--whole', one, two, '-y']))
    assert.deepEqual(
      told.map(({ how }) => how),
      ['receipt', 'compared'],
    )
    for (const { bytesWritten } of told)
      assert.ok(bytesWritten > 0 && bytesWritten <= 2 * changed, `${bytesWritten} of ${changed}`)
    for (const path of [one, two]) assertHolds(path, now)
    await edit('first\n')
  })

  test('partitions go to devices of their own, as documented', {
    skip: needsRoot || missing('losetup'),
  }, async (t) => {
    const path = card('d.img')
    execFileSync('cp', ['--sparse=always', raw, path])
    const { partitions } = await readPartitionTable(raw)
    const devices = partitions.map((partition) => loopDevice(undo(t), path, partition))
    for (const device of devices)
      execFileSync('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=3', 'status=none'])
    // Names without /dev/.
    const [report] = reports(await updatesd([...devices.map((device) => device.slice(5)), '-y']))
    assert.ok(report!.bytesWritten > 0)
    for (const [index, { offset, size }] of partitions.entries()) {
      assertHoldsMapped(devices[index]!, raw, inFolder('first.bmap'), { offset, size })
    }
    const [again] = reports(await updatesd([...devices, '-y']))
    assert.equal(again!.bytesWritten, 0)
  })

  test('--image takes a file, with the block map beside it, and looks at no pipeline', async () => {
    const path = card('e.img')
    const [report] = reports(await updatesd(['--whole', path, '--image', inFolder('first.img'), '-y']))
    assertHolds(path, raw)
    assert.ok(report!.bytesSaved > 0, 'zeros that are there need no write')
  })

  test('--dry-run says how much, and writes nothing', async () => {
    const path = card('f.img')
    const ended = await updatesd(['--whole', path, '-n'])
    assert.equal(ended.code, 0, ended.stdout)
    const told = ended.events.findLast((event) => event.type === 'answer')!
    assert.ok((told.data as { atMost: number }).atMost > 0)
    assert.equal(statSync(path).blocks, 0)
  })

  test('--files updates a card in its place, and keeps what the device has made there', async () => {
    const path = card('k.img')
    reports(await updatesd(['--whole', path, '-y']))
    const root = `${path}?offset=${(await readPartitionTable(raw)).partitions[1]!.offset}`
    const machineId = '0123456789abcdef0123456789abcdef\n'
    await scratch.write('id', machineId)
    tool('debugfs', ['-w', '-R', 'rm /etc/machine-id', root])
    tool('debugfs', ['-w', '-R', `write ${scratch.project}/id /etc/machine-id`, root])
    const asked = await updatesd(['--whole', path, '-n'])
    assert.match(asked.stdout, /machine-id 01234567….*THIS IDENTITY WILL BE LOST/)
    await edit('third\n')
    const [report] = reports(await updatesd(['--whole', path, '-y', '--files', '--set', 'hostname=pi-9']))
    await edit('first\n')
    assert.equal(report!.how, 'files')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/motd', root]), 'third\n')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/hostname', root]), 'pi-9\n')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/machine-id', root]), machineId)
    tool('e2fsck', ['-fn', root])
  })

  test('each card gets its row of a CSV, and no secret is told', async () => {
    const paths = [card('m.img'), card('n.img')]
    await scratch.write('devices.csv', 'hostname\npi-1\npi-2\n')
    const ended = await updatesd(['--whole', ...paths, '-y', '--csv', join(scratch.project, 'devices.csv')])
    reports(ended)
    const { offset } = (await readPartitionTable(raw)).partitions[1]!
    const names = paths.map((path) =>
      tool('debugfs', ['-R', 'cat /etc/hostname', `${path}?offset=${offset}`]),
    )
    assert.deepEqual(names, ['pi-1\n', 'pi-2\n'])
    // The device's values are no reason to write the rest again.
    const [again] = reports(await updatesd(['--whole', paths[0]!, '-y', '--set', 'hostname=pi-1']))
    assert.equal(again!.how, 'receipt')
    assert.ok(again!.bytesWritten < 8 * MiB)
  })

  test('the stage writes its card with each build, and only what differs', async () => {
    const path = blankCard(join(scratch.project, 'deployed.img'), cardSize)
    const env = { XDG_CACHE_HOME: inFolder('cache') }
    const build = async (): Promise<string> => {
      const ended = await scratch.run(['build', 'card', '--json'], { env })
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
      return ended.events
        .flatMap((event) => (event.type === 'note' && event.stage === 'updatesd' ? [event.message] : []))
        .join()
    }
    await build()
    assertHolds(path, raw)
    assert.match(await build(), /deployed.img: 0 bytes written \(receipt\)/)
    execFileSync('dd', [
      'if=/dev/zero',
      `of=${path}`,
      'bs=1M',
      'seek=1',
      'count=60',
      'conv=notrunc',
      'status=none',
    ])
    assert.match(await build(), /\(compared\)/)
    assertHolds(path, raw)
  })

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
      ['a folder', () => [folder, folder], 2, /is really not a disk partition/],
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
          execFileSync('cp', ['--sparse=always', raw, path])
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
      const ended = await scratch.run(['updatesd', '--whole', path])
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
      const device = loopDevice(undo(t), path)
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
      assertHoldsMapped(device, raw, inFolder('first.bmap'))
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
        const [command, args] = scratch.command(['updatesd', '--whole', path])
        const env = scratch.env({
          XDG_CACHE_HOME: inFolder('cache'),
          TERM: 'xterm',
          ...(meanwhile && { SWAP: other }),
        })
        const ended = spawnSync('python3', ['-c', terminal, answer, command, ...args], {
          cwd: scratch.project,
          env,
          encoding: 'utf8',
        })
        assert.equal(ended.status, exit, ended.stdout + ended.stderr)
        assert.match(ended.stdout, /Write to .*p\.img\? \(y\/N\)/)
        if (exit === 0) assertHolds(path, raw)
        else assert.equal(statSync(path).blocks, 0, 'nothing is written')
      })
    }
  })

  describe('a card that fails', { skip: missing('nbdkit', 'nbdfuse', 'fusermount3') }, () => {
    test('with read errors: exit 8 names it, the others are written', async (t) => {
      const bad = await virtualDisk(t, { ...honest, pread: 'echo EIO >&2; exit 1', pwrite: 'cat >/dev/null' })
      const good = card('q.img')
      const ended = await updatesd(['--whole', bad.path, good, '-y'])
      assert.equal(ended.code, 8, ended.stdout)
      const failed = ended.events.filter((event) => event.type === 'card-failed')
      assert.deepEqual(
        failed.map((event) => event.card),
        [bad.path],
      )
      assert.equal(ended.events.filter((event) => event.type === 'card').length, 1)
      assertHolds(good, raw)
    })

    test('that holds other bytes than were written: exit 5 with the offset', async (t) => {
      // The bytes from 50 MiB on stay zeros.
      const pwrite = `if [ $4 -ge ${50 * MiB} ]; then cat >/dev/null; else dd of=$f bs=64K oflag=seek_bytes seek=$4 conv=notrunc status=none; fi`
      const bad = await virtualDisk(t, { ...honest, pwrite })
      const ended = await updatesd(['--whole', bad.path, '-y'])
      assert.equal(ended.code, 5, ended.stdout)
      assert.match(ended.stdout, /"message":"[^"]*byte \d+/)
    })
  })

  test('interrupted, it ends with 130 and goes on where it stopped', async (t) => {
    const behaviour = {
      ...honest,
      pwrite: 'sleep 0.05; dd of=$f bs=64K oflag=seek_bytes seek=$4 conv=notrunc status=none',
    }
    const slow = await virtualDisk(t, behaviour)
    const [command, args] = scratch.command(['updatesd', '--json', '--whole', slow.path, '-y'])
    const child = spawn(command, args, {
      cwd: scratch.project,
      env: scratch.env({ XDG_CACHE_HOME: inFolder('cache') }),
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (/"phase":"writing"/.test(said)) child.kill('SIGINT')
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    assert.equal(code, 130, said)
    assert.match(said, /the same command goes on where it stopped/)
    const [report] = reports(await updatesd(['--whole', slow.path, '-y']))
    assertHolds(slow.kept, raw)
    assert.equal(report!.how, 'compared')
  })

  test('after `build` as a user, sudo rebuilds what was edited and leaves nothing of root behind', {
    skip: needsRoot || missing('setpriv'),
  }, async () => {
    const user = 65534
    const own = mkdtempSync(inFolder('user-'))
    execFileSync('cp', ['-a', `${scratch.project}/.`, own])
    chownSync(own, user, user)
    execFileSync('chown', ['-R', `${user}:${user}`, own])
    const how = (by: string[]) => {
      const [command, args] = scratch.command([], { by })
      const env = {
        ...scratch.env(),
        FLEETSIE_STORE: join(own, 'store'),
        XDG_CACHE_HOME: join(own, 'cache'),
        HOME: own,
      }
      return (verb: string[]) => spawnSync(command, [...args, ...verb], { cwd: own, env, encoding: 'utf8' })
    }
    const asUser = how(['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'])
    const built = asUser(['build', 'image', '--json'])
    assert.equal(built.status, 0, built.stdout + built.stderr)
    const path = card('s.img')
    // What sudo sets.
    const sudo = how(['env', `SUDO_UID=${user}`, `SUDO_GID=${user}`])
    const ended = sudo(['updatesd', '--json', '--whole', path, '-y'])
    assert.equal(ended.status, 0, ended.stdout + ended.stderr)
    assert.doesNotMatch(ended.stdout, /"action":"built"/)
    assertHolds(path, raw)
    const ofOthers = (): string => tool('find', [own, '-not', '-user', 'nobody'])
    assert.equal(ofOthers(), '', 'all belongs to the user')
    writeFileSync(join(own, 'overlays/part_2/etc/motd'), 'edited by the user\n')
    const rebuilt = sudo(['updatesd', '--json', '--whole', path, '-y'])
    assert.equal(rebuilt.status, 0, rebuilt.stdout + rebuilt.stderr)
    assert.match(rebuilt.stdout, /"action":"built"/)
    assert.equal(ofOthers(), '', 'what root builds belongs to the user as well')
    for (const verb of [
      ['build', 'image'],
      ['gc', '--max-size', '1'],
      ['build', 'image'],
    ]) {
      const { status, stdout, stderr } = asUser(verb)
      assert.equal(status, 0, stdout + stderr)
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
