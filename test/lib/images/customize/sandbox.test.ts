import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rightsHere } from '../../../../lib/images/customize/rights.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { type Chosen, type Outcome, processesWith, Rig, traces } from './rig.ts'

const skip = needsRoot || needs('unshare', 'setpriv', 'ip', 'tar')
const root = join(import.meta.dirname, '../../../..')
const driver = fileURLToPath(new URL('./driver.ts', import.meta.url))

let rig: Rig
before(async () => {
  rig = await Rig.open()
  // Other tests run stages meanwhile: what is looked for is what these leave.
  process.env['TMPDIR'] = rig.folder
})
after(() => rig.remove())

const write = (text: string): Promise<string> => rig.write('script.sh', `#!/bin/sh\nset -eu\n${text}\n`)
const script = async (text: string, more: Chosen = {}): Promise<Outcome> =>
  rig.run({ script: await write(text), ...more })
const logged = async (text: string): Promise<string> => (await script(text)).record.log.join('')

/** Seconds that no other run of these tests sleeps for. */
const long = 86_400 + process.pid

/** Polls: a process takes a moment to begin, and one that was killed to go. */
async function eventually(what: () => Promise<string[]>, done: (left: string[]) => void): Promise<void> {
  const end = Date.now() + 60_000
  for (;;) {
    const left = await what()
    try {
      return done(left)
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const none = (left: string[]): void => assert.deepEqual(left, [])

const nothingLeft = async (): Promise<void> => {
  await eventually(
    async () => [...(await traces(rig.folder)), ...(await processesWith(`sleep\0${long}`))],
    none,
  )
}

describe('a script in the image', { skip }, () => {
  afterEach(nothingLeft)

  it('sees a pinned environment and nothing of ours', async () => {
    process.env['CUSTOMIZE_MARKER'] = 'leak'
    const log = await logged('env | sort; echo "in: $(cat)"; umask; hostname')
    delete process.env['CUSTOMIZE_MARKER']
    for (const line of [
      'HOME=/root',
      'LC_ALL=C.UTF-8',
      'TZ=UTC',
      'SOURCE_DATE_EPOCH=1783728000',
      'in: ',
      '0022',
      'fleetsie',
    ]) {
      assert.ok(log.split('\n').includes(line), line)
    }
    assert.doesNotMatch(log, /leak|CUSTOMIZE|LANG=|TERM=/)
  })

  it('has a /proc, processes and a network of its own', async () => {
    const log = await logged(
      'echo "pids $(ls /proc | grep -c "^[0-9]")"; ls /sys/class/net 2>/dev/null || ip -o link; nc 127.0.0.1 9 </dev/null || echo refused',
    )
    assert.match(log, /pids [1-9]\n/)
    assert.match(log, /lo: <LOOPBACK,UP/)
    assert.doesNotMatch(log, /eth0|ens|enp/)
    assert.match(log, /refused/)
  })

  it('has the devices that programs need and no disk', async () => {
    const log = await logged(
      'ls /dev | tr "\\n" " "; echo x > /dev/null; head -c 4 /dev/zero | wc -c; ls -l /dev/shm',
    )
    assert.match(log, /fd full null ptmx pts random shm stderr stdin stdout tty urandom zero/)
  })

  const refused: [string, string][] = [
    ['make a device node', 'mknod /opt/sda b 8 0'],
    ['mount', 'mount -t tmpfs x /mnt'],
    ['unmount what hides the host', 'umount -l /proc'],
    ['follow the first process out', 'ls /proc/1/root/'],
    ['change a setting of the host', 'echo 1 > /proc/sys/vm/swappiness'],
    ['set the clock', 'date -s 2001-01-01 2>&1 | grep -v permitted | grep -q set'],
    ['change the host name', 'hostname x'],
  ]
  for (const [title, command] of refused) {
    it(`cannot ${title}`, async () => {
      assert.match(await logged(`if ${command}; then echo DONE; else echo REFUSED; fi`), /REFUSED/)
    })
  }

  it('does not get out of its chroot by the old trick', async () => {
    const log = await logged(
      'mkdir /opt/c; cat > /opt/t <<X\ncd /; for i in 1 2 3 4 5 6; do cd ..; done; ls\nX\nchroot /opt/c /bin/true || cd ../../../..; sh /opt/t',
    )
    assert.match(log, /README/)
    assert.doesNotMatch(log, /container_info|vmlinuz|snap/)
  })

  it('leaves its set-uid programs to nobody of the host', async () => {
    const modes = new Set<number>()
    // More than a pipe holds: the script still runs when its first words arrive.
    const text = 'seq 100000 | sed s/^/xxx/ >&2'
    await rig.run(
      { script: await write(text) },
      {
        log: (said) => {
          if (!said.startsWith('xxx')) return
          for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith('fleetsie-context-'))) {
            const run = statSync(join(tmpdir(), name, 'tmp/run'), { throwIfNoEntry: false })
            if (run) modes.add(run.mode & 0o777)
          }
        },
      },
    )
    assert.deepEqual([...modes], [0o700])
  })

  it('that fails is named with its exit code and last lines', async () => {
    await assert.rejects(
      script('echo one; echo two >&2; exit 3'),
      (error: Error & { code: string; log: string; left: string[] }) => {
        assert.equal(error.code, 'E_STAGE')
        assert.match(error.message, /^script\.sh ended with exit code 3:\n(?:.*\n)*one\ntwo$/)
        assert.deepEqual(
          error.left,
          ['files'].filter((name) => error.left.includes(name)),
        )
        return true
      },
    )
  })

  it('without its interpreter says so', async () => {
    const name = await rig.write('perl.sh', '#!/usr/bin/perl6\n')
    await assert.rejects(rig.run({ script: name }), { code: 'E_STAGE', hint: /first line/ })
  })

  it('ends with its daemons', async () => {
    await script(`(setsid sleep ${long} </dev/null >/dev/null 2>&1 &); sleep ${long} & echo ok`)
  })

  it('that hangs and ignores signals is ended after its time', async () => {
    await assert.rejects(
      script(`trap "" TERM INT HUP; (setsid sleep ${long} &); sleep ${long}`, { timeout: 2 }),
      {
        code: 'E_TIMEOUT',
        message: 'script.sh was ended after 2 s',
      },
    )
  })

  it('that forks without end is ended after its time', async () => {
    await assert.rejects(
      script(`f() { sleep ${long} & }; i=0; while [ $i -lt 200 ]; do f; i=$((i+1)); done; wait`, {
        timeout: 3,
      }),
      {
        code: 'E_TIMEOUT',
      },
    )
  })

  it('is ended by an interrupt', async () => {
    const controller = new AbortController()
    const name = await write(`echo running; sleep ${long}`)
    const log = (text: string): void => {
      if (text.includes('running')) controller.abort()
    }
    await assert.rejects(rig.run({ script: name }, { signal: controller.signal, log }), {
      code: 'E_INTERRUPTED',
    })
  })

  it('is ended when our process is killed', async () => {
    await write(`echo running; sleep ${long}`)
    const tmp = join(rig.folder, 'killed')
    mkdirSync(tmp)
    const child = spawn(process.execPath, ['--import', 'tsx', driver, rig.folder, '{"script":"script.sh"}'], {
      cwd: root,
      // What it leaves goes with the rig.
      env: { ...process.env, TMPDIR: tmp },
    })
    await saying(child, 'running')
    await eventually(
      () => processesWith(`sleep\0${long}`),
      (found) => assert.notDeepEqual(found, []),
    )
    child.kill('SIGKILL')
    await nothingLeft()
  })
})

function saying(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let all = ''
    child.stdout!.on('data', (piece) => {
      all += piece
      if (all.includes(text)) resolve()
    })
    child.once('exit', () => reject(new Error(`it ended too early: ${all}`)))
  })
}

describe('a store on an overlay', { skip }, () => {
  it('gives the same bytes', async () => {
    const { digests } = await script('echo a > /opt/a; rm -r /usr/share/doc; mkdir /usr/share/doc')
    const folder = join(rig.folder, 'overlay')
    for (const name of ['lower', 'upper', 'work', 'merged'])
      mkdirSync(join(folder, name), { recursive: true })
    const text =
      'set -e; cd "$1"; mount -n -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged; ' +
      'export TMPDIR="$1/merged"; cd "$2"; shift 2; exec "$@"'
    const node = [process.execPath, '--import', 'tsx', driver, rig.folder, '{"script":"script.sh"}']
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', text, 'sh', folder, root, ...node],
      { encoding: 'utf8' },
    )
    const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '{}') as { digests?: unknown }
    assert.deepEqual(last.digests, digests, stdout + stderr)
  })
})

describe('packages', { skip: skip || needs('dpkg-deb') }, () => {
  const build = async (name: string, postinst: string): Promise<string> => {
    const folder = join(rig.folder, name)
    mkdirSync(join(folder, 'DEBIAN'), { recursive: true })
    mkdirSync(join(folder, 'usr/share', name), { recursive: true })
    const control = `Package: ${name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n`
    writeFileSync(join(folder, 'DEBIAN/control'), control)
    writeFileSync(join(folder, 'DEBIAN/postinst'), `#!/bin/sh\n${postinst}\n`, { mode: 0o755 })
    writeFileSync(join(folder, `usr/share/${name}/file`), name)
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-b', folder, join(rig.project, `${name}.deb`)])
    return `${name}.deb`
  }

  it('are installed before the script', async () => {
    const packages = [await build('first', 'echo configured > /opt/first')]
    const outcome = await script('cat /opt/first /usr/share/first/file > /opt/both', { packages })
    const entries = outcome.layers.get('part_2.tar')!
    assert.ok(entries.has('usr/share/first/file') && entries.has('var/lib/dpkg/status'))
    const both = entries.get('opt/both')
    assert.equal(both?.type === 'file' && both.text, 'configured\nfirst')
  })

  it('that fail are told from the script', async () => {
    const packages = [await build('second', 'echo broken >&2; exit 5')]
    await assert.rejects(rig.run({ packages }), {
      code: 'E_STAGE',
      message: /^installing the packages ended(?:.*\n)*.*broken/s,
    })
  })
})

describe('another user', { skip: skip || needs('newuidmap', 'fuse2fs') || unreadable() }, () => {
  const id = 12345
  /** A program in a mount namespace of its own, where that user exists and has a range. */
  const command = (
    options: Chosen,
    subuid = 'tester:700000:65536\n',
  ): [string, string[], NodeJS.ProcessEnv] => {
    const folder = join(rig.folder, 'user')
    mkdirSync(join(folder, 'tmp'), { recursive: true })
    for (const path of [rig.folder, rig.project]) chmodSync(path, 0o755)
    chownSync(join(folder, 'tmp'), id, id)
    const texts = {
      passwd: `tester:x:${id}:${id}::/nonexistent:/bin/sh\n${readFileSync('/etc/passwd', 'utf8')}`,
      group: `tester:x:${id}:\n${readFileSync('/etc/group', 'utf8')}`,
      subuid,
      subgid: subuid,
    }
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
    if (!readdirSync(folder).includes('fuse'))
      execFileSync('mknod', ['-m', '666', join(folder, 'fuse'), 'c', '10', '229'])
    const text =
      'set -e; cd "$1"; for f in passwd group subuid subgid; do mount -n --bind $f /etc/$f; done; ' +
      'mount -n --bind fuse /dev/fuse; cd "$2"; shift 2; ' +
      'exec setpriv --reuid=12345 --regid=12345 --clear-groups "$@"'
    const node = [process.execPath, '--import', 'tsx', driver, rig.folder, JSON.stringify(options)]
    return [
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', text, 'sh', folder, root, ...node],
      { ...process.env, TMPDIR: join(folder, 'tmp') },
    ]
  }
  const asUser = (options: Chosen, subuid?: string): { lines: Record<string, unknown>[]; stderr: string } => {
    const [program, args, env] = command(options, subuid)
    const { stdout, stderr } = spawnSync(program, args, {
      encoding: 'utf8',
      env,
      maxBuffer: 64 * 1024 * 1024,
    })
    const lines = stdout.split('\n').filter(Boolean)
    return { lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>), stderr }
  }
  const left = (): string[] =>
    readdirSync(join(rig.folder, 'user/tmp'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => !name.startsWith('tsx'),
    )
  afterEach(nothingLeft)

  it('gets the same bytes as root', async () => {
    const text =
      'cd /opt; mkdir -m 700 d; echo a > d/a; chown -R 33:33 d; ln d/a b; rm /etc/issue; rm -r /usr/share/doc; mkdir /usr/share/doc; echo x >> /boot/firmware/config.txt'
    const { digests } = await script(text)
    const { lines, stderr } = asUser({ script: 'script.sh' })
    assert.deepEqual(lines.at(-1)?.['digests'], digests, JSON.stringify(lines) + stderr)
    assert.deepEqual(left(), [])
  })

  it('leaves nothing behind after a failure and a timeout', async () => {
    await write('mkdir -m 700 /opt/d; echo > /opt/d/a; chown -R 33:33 /opt/d; exit 3')
    assert.equal(asUser({ script: 'script.sh' }).lines.at(-1)?.['code'], 'E_STAGE')
    assert.deepEqual(left(), [])
    await write(`mkdir -m 700 /opt/d; echo > /opt/d/a; chown -R 33:33 /opt/d; sleep ${long}`)
    assert.equal(asUser({ script: 'script.sh', timeout: 3 }).lines.at(-1)?.['code'], 'E_TIMEOUT')
    assert.deepEqual(left(), [])
  })

  it('leaves nothing of the other users of its range behind when it is killed', async () => {
    await write(`mkdir -m 700 /opt/d; echo > /opt/d/a; chown -R 33:33 /opt/d; echo running; sleep ${long}`)
    const [program, args, env] = command({ script: 'script.sh' })
    const child = spawn(program, args, { env })
    await saying(child, 'running')
    child.kill('SIGKILL')
    await nothingLeft()
    await eventually(async () => left().filter((name) => name.includes('/run')), none)
  })

  it('without a range learns what to do', async () => {
    await write('true')
    const { code, message } = asUser({ script: 'script.sh' }, 'other:700000:65536\n').lines.at(-1)!
    assert.equal(code, 'E_RIGHTS')
    assert.match(String(message), /\/etc\/subuid and \/etc\/subgid must give a range of 65536 to tester/)
  })
})

describe('the rights that are looked for', () => {
  it('are root', () => assert.deepEqual(rightsHere(0), { kind: 'root' }))
  it('are a range in /etc/subuid, and the error says how to get one', {
    skip: needs('newuidmap', 'fuse2fs'),
  }, () => {
    assert.throws(() => rightsHere(4_000_000_000), {
      code: 'E_RIGHTS',
      hint: /usermod --add-subuids .*doctor/,
    })
  })
})

/** A checkout in /root, for one. */
function unreadable(): string | false {
  if (needsRoot) return needsRoot
  const { status } = spawnSync('setpriv', [
    '--reuid=12345',
    '--regid=12345',
    '--clear-groups',
    'test',
    '-r',
    join(root, 'package.json'),
  ])
  try {
    accessSync('/dev/fuse', constants.R_OK)
  } catch {
    return 'needs /dev/fuse'
  }
  return status !== 0 && 'the checkout is not readable for another user'
}
