import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Derivation } from '../../lib/engine/stage.ts'
import { FleetsieError } from '../../lib/errors.ts'
import { customize } from '../../stages/customize.ts'
import { fakeInput } from '../helpers/context.ts'
import { file, symlink as link } from '../helpers/layers.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { type Chosen, type Outcome, Rig } from '../lib/images/customize/rig.ts'

const skip = needsRoot || needs('unshare', 'setpriv', 'ip', 'tar', 'debugfs')
const key =
  '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n'

let rig: Rig
before(async () => {
  rig = await Rig.open()
})
after(() => rig.remove())

const script = async (text: string, more: Chosen = {}): Promise<Outcome> =>
  rig.run({ script: await rig.write('script.sh', `#!/bin/sh\nset -eu\n${text}\n`), ...more })
const paths = (outcome: Outcome, part = 2): string[] => [
  ...(outcome.layers.get(`part_${part}.tar`)?.keys() ?? []),
]
const entry = (outcome: Outcome, path: string, part = 2) => outcome.layers.get(`part_${part}.tar`)?.get(path)

describe('customize captures what a script changed', { skip }, () => {
  const cases: { title: string; text: string; captured: string[]; boot?: string[]; more?: Chosen }[] = [
    { title: 'nothing, when nothing changed', text: 'true', captured: [] },
    {
      title: 'a new file in a new folder',
      text: 'mkdir /opt/x; echo y > /opt/x/y',
      captured: ['opt/x', 'opt/x/y'],
    },
    { title: 'a changed file without its folder', text: 'echo y >> /etc/hosts', captured: ['etc/hosts'] },
    { title: 'a mode', text: 'chmod 600 /etc/hosts', captured: ['etc/hosts'] },
    { title: "a folder's owner", text: 'chown 5:6 /srv', captured: ['srv'] },
    { title: 'a removed file', text: 'rm /etc/issue', captured: ['-etc/issue'] },
    { title: 'a removed folder', text: 'rm -r /usr/share/doc', captured: ['-usr/share/doc'] },
    {
      title: 'a folder made anew by what is missing in it',
      text: 'rm -r /usr/share/doc; mkdir -p /usr/share/doc/z',
      captured: ['-usr/share/doc/busybox-static', 'usr/share/doc/z'],
    },
    {
      title: 'a folder made anew with the same content not at all',
      text: 'd=/usr/share/doc/busybox-static; cp -a $d /x; rm -r $d; cp -a /x $d; rm -r /x',
      captured: [],
    },
    { title: 'no touched file', text: 'touch /etc/passwd /etc /usr/bin/busybox', captured: [] },
    {
      title: 'no file written with its own content',
      text: 'cat /etc/hosts > /h; cat /h > /etc/hosts; rm /h',
      captured: [],
    },
    { title: 'a link in the place of a file', text: 'ln -sf hosts /etc/issue', captured: ['etc/issue'] },
    {
      title: 'a folder in the place of a link',
      text: 'rm /etc/mtab; mkdir /etc/mtab',
      captured: ['-etc/mtab', 'etc/mtab'],
    },
    {
      title: 'a fifo, and no socket',
      text: 'mkfifo /opt/p; timeout 1 nc -l -p 1 local:/opt/s || true',
      captured: ['opt/p'],
    },
    {
      title: 'all names of a new hard link to an old file',
      text: 'ln /etc/issue /etc/issue2',
      captured: ['etc/issue', 'etc/issue2'],
    },
    {
      title: 'nothing of /tmp, /run and /dev',
      text: 'echo > /tmp/x; echo > /run/x; echo > /dev/x',
      captured: [],
    },
    {
      title: 'no machine-id and no logs of dpkg',
      text: 'echo 1 > /etc/machine-id; echo 2 > /var/log/dpkg.log; mkdir -p /var/cache/man/de; echo 3 > /var/cache/man/de/i',
      captured: ['var/cache/man'],
    },
    { title: 'the removal of a log', text: 'rm /etc/machine-id', captured: ['-etc/machine-id'] },
    {
      title: 'the boot partition as a layer of its own',
      text: 'cd /boot/firmware; echo x >> config.txt; rm README.txt; mkdir n; echo k > n/k; touch cmdline.txt',
      captured: [],
      boot: ['-README.txt', 'config.txt', 'n', 'n/k'],
    },
    {
      title: "a policy-rc.d of the script's own, and not ours",
      text: '/usr/sbin/policy-rc.d && exit 1; echo "exit 102" > /usr/sbin/policy-rc.d',
      captured: ['usr/sbin/policy-rc.d'],
    },
    { title: 'the removal of our policy-rc.d not at all', text: 'rm /usr/sbin/policy-rc.d', captured: [] },
    {
      title: 'names with spaces, quotes, newlines, backslashes and UTF-8',
      text: "cd /opt; touch 'a b' \"c'd\\\"\" 'e\nf' 'g\\h' 'ü' -- -x",
      captured: ['opt/-x', 'opt/a b', 'opt/c\'d"', 'opt/e\nf', 'opt/g\\h', 'opt/ü'],
    },
    {
      title: 'files of a daemon, which is ended',
      text: 'echo d > /opt/d; (setsid sleep 9999 &)',
      captured: ['opt/d'],
    },
  ]
  for (const { title, text, captured, boot = [], more } of cases) {
    it(title, async () => {
      const outcome = await script(text, more)
      assert.deepEqual(paths(outcome), captured)
      assert.deepEqual(paths(outcome, 1), boot)
      assert.deepEqual(
        outcome.left.filter((name) => name === 'run'),
        [],
      )
    })
  }

  it('with owner, mode, target, link and time', async () => {
    const outcome = await script(
      'cd /opt; echo a > a; chown 1000:60000 a; chmod 4750 a; ln a b; ln -s ../x l; ' +
        'echo old > old; touch -d "2001-02-03 04:05:06" old',
    )
    const a = entry(outcome, 'opt/a')
    assert.ok(a?.type === 'file')
    assert.deepEqual([a.mode, a.uid, a.gid, a.text, a.mtime.seconds], [0o4750, 1000, 60000, 'a\n', 0])
    const b = entry(outcome, 'opt/b')
    assert.ok(b?.type === 'hardlink' && b.target === 'opt/a')
    const l = entry(outcome, 'opt/l')
    assert.ok(l?.type === 'symlink' && l.target === '../x')
    const old = entry(outcome, 'opt/old')
    assert.ok(old?.type === 'file' && old.mtime.seconds === 981173106)
  })

  it('holes, wherever the zeros came from', async () => {
    const outcome = await script(
      'cd /opt; dd if=/dev/zero of=a bs=1M count=3 2>/dev/null; echo x >> a; truncate -s 2M b',
    )
    const [a, b] = [entry(outcome, 'opt/a'), entry(outcome, 'opt/b')]
    assert.ok(a?.type === 'file' && b?.type === 'file')
    assert.deepEqual([a.size, a.extents], [3 * 1024 * 1024 + 2, [{ offset: 3 * 1024 * 1024, length: 2 }]])
    assert.deepEqual([b.size, b.extents], [2 * 1024 * 1024, []])
  })

  it('in the same bytes each time', async () => {
    const text =
      'cd /opt; for i in 3 1 2; do mkdir d$i; echo $i > d$i/f; done; ln d1/f d2/l; echo b > /boot/firmware/b; date > /tmp/d'
    const [first, second] = [await script(text), await script(text)]
    assert.ok(first.digests['part_1.tar'] && first.digests['part_2.tar'])
    assert.deepEqual(first.digests, second.digests)
  })

  it('so that the script changes nothing where its layers are applied already', async () => {
    const text =
      'cd /opt; mkdir -p d; echo 1 > d/f; ln -f d/f d/l; ln -sfn d s; chown 5:6 d; chmod 1770 d; rm -rf /usr/share/doc; ' +
      '[ -p p ] || mkfifo p; echo x > /boot/firmware/x; rm -f /boot/firmware/README.txt; truncate -s 2M d/sparse'
    const first = await script(text)
    const folder = join(rig.folder, 'again')
    await mkdir(folder)
    for (const [name, bytes] of first.bytes) await writeFile(join(folder, name), bytes)
    const second = await script(text, { layers: [fakeInput(folder)] })
    assert.deepEqual([paths(second), paths(second, 1)], [[], []])
  })

  it('and warns of a private key', async () => {
    const outcome = await script(`printf '%s' '${key}' > /etc/k.pem; echo x > /etc/ssh_host_rsa_key`)
    assert.match(outcome.record.warnings.join(), /\/etc\/k\.pem holds a private key/)
  })

  it('but refuses on FAT what FAT cannot hold', async () => {
    await assert.rejects(script('ln -s a /boot/firmware/l'), {
      code: 'E_INPUT',
      message: /"l", is a symlink/,
    })
    await assert.rejects(script('echo > /boot/firmware/CONFIG.TXT'), {
      code: 'E_INPUT',
      message: /only in case/,
    })
  })
})

describe('customize gives a script the merged tree', { skip }, () => {
  it('with earlier layers, in their order', async () => {
    const layers = [
      await rig.layer('one', [file('etc/a', '1'), file('opt/b', 'b')]),
      await rig.layer('two', [file('etc/a', '2')]),
    ]
    const outcome = await script('cat /etc/a /opt/b > /opt/c', { layers })
    assert.deepEqual(paths(outcome), ['opt/c'])
    const c = entry(outcome, 'opt/c')
    assert.equal(c?.type === 'file' && c.text, '2b')
  })

  it('with files of the stage in it, which become part of the layer', async () => {
    await rig.write('greeting', 'hello\n', 0o755)
    const files = {
      '/root/deep/greeting': 'greeting',
      '/lib/systemd/greeting': 'greeting',
      '/boot/firmware/g.txt': 'greeting',
    }
    const outcome = await script(
      'sed -i s/hello/goodbye/ /lib/systemd/greeting; cmp /root/deep/greeting /boot/firmware/g.txt; ls -ld /root > /tmp/m; grep -q drwx------ /tmp/m',
      { files },
    )
    assert.deepEqual(paths(outcome), ['root/deep', 'root/deep/greeting', 'usr/lib/systemd/greeting'])
    assert.deepEqual(paths(outcome, 1), ['g.txt'])
    const changed = entry(outcome, 'usr/lib/systemd/greeting')
    assert.ok(changed?.type === 'file' && changed.text === 'goodbye\n' && changed.mode === 0o755)
  })

  it('without an interpreter line the shell runs it', async () => {
    const outcome = await rig.run({ script: await rig.write('plain.sh', 'echo "$0" > /opt/x') })
    assert.deepEqual(paths(outcome), ['opt/x'])
  })
})

describe('customize with files alone', () => {
  it('needs no rights, and puts each into the partition where it belongs', async () => {
    await rig.write('a', 'A')
    await rig.write('b', 'B', 0o755)
    const outcome = await rig.run({ files: { '/etc/a': 'a', '/bin/b': 'b', '/boot/firmware/c': 'a' } })
    assert.deepEqual(paths(outcome), ['etc/a', 'usr/bin/b'])
    assert.deepEqual(paths(outcome, 1), ['c'])
    const b = entry(outcome, 'usr/bin/b')
    assert.ok(b?.type === 'file' && b.mode === 0o755 && b.text === 'B' && b.uid === 0)
  })

  it('takes a folder, links included', async () => {
    await rig.write('tree/etc/x', 'x')
    await symlink('x', join(rig.project, 'tree/etc/y'))
    const outcome = await rig.run({ files: 'tree' })
    assert.deepEqual(paths(outcome), ['etc/x', 'etc/y'])
  })

  it('follows links of an earlier layer', async () => {
    await rig.write('a', 'A')
    const layers = [await rig.layer('linked', [link('data', 'srv')])]
    assert.deepEqual(paths(await rig.run({ layers, files: { '/data/a': 'a' } })), ['srv/a'])
  })

  it('refuses two paths that links make one', async () => {
    await rig.write('a', 'A')
    await rig.write('b', 'B')
    const layers = [await rig.layer('twice', [link('data', 'srv'), link('firmware', 'boot/firmware')])]
    for (const [one, two] of [
      ['/data/a', '/srv/a'],
      ['/bin/x', '/usr/bin/x'],
      ['/boot/firmware/c', '/firmware/c'],
    ] as const) {
      await assert.rejects(rig.run({ layers, files: { [one]: 'a', [two]: 'b' } }), {
        code: 'E_INPUT',
        message: new RegExp(`${one} and ${two} are one place`),
      })
    }
  })

  it('refuses a private key unless it is allowed by name', async () => {
    await rig.write('k.pem', key)
    const files = { '/etc/k.pem': 'k.pem' }
    await assert.rejects(rig.run({ files }), { code: 'E_UNSAFE', file: 'k.pem' })
    assert.deepEqual(paths(await rig.run({ files, allowPrivateKeys: ['k.pem'] })), ['etc/k.pem'])
  })

  it('refuses a large one while copying', async () => {
    await rig.write('large.pem', `${'x'.repeat(100_000)}\n${key}`)
    await assert.rejects(rig.run({ files: { '/etc/k': 'large.pem' } }), {
      code: 'E_UNSAFE',
      file: 'large.pem',
    })
  })

  it('refuses a path through a file', async () => {
    await rig.write('a', 'A')
    await assert.rejects(rig.run({ files: { '/etc/hosts/a': 'a' } }), {
      code: 'E_INPUT',
      message: /is a file in the image/,
    })
  })
})

describe('customize checks its options', () => {
  const derivation = new Derivation(customize.stage, {})
  const base = { image: derivation, table: derivation }
  const wrong: { title: string; options: Record<string, unknown>; message: RegExp }[] = [
    { title: 'nothing to do', options: {}, message: /one of `script`, `packages` and `files`/ },
    {
      title: 'a relative path in the image',
      options: { files: { 'etc/x': 'x' } },
      message: /absolute paths/,
    },
    { title: 'a path that leads upwards', options: { files: { '/etc/../x': 'x' } }, message: /without/ },
    { title: 'a whiteout', options: { files: { '/etc/.wh.x': 'x' } }, message: /\.wh\./ },
    { title: 'a package that is none', options: { packages: ['x.rpm'] }, message: /\.deb/ },
    { title: 'a timeout of nothing', options: { script: 'x', timeout: 0 }, message: /timeout/ },
    { title: 'an unknown one', options: { script: 'x', net: true }, message: /no option `net`/ },
  ]
  for (const { title, options, message } of wrong) {
    it(title, () => {
      assert.throws(
        () => customize({ ...base, ...options } as never),
        (error) => error instanceof FleetsieError && error.code === 'E_OPTION' && message.test(error.message),
      )
    })
  }

  const sources = (options: Chosen) => customize.stage.sources!(options, rig.host)

  it('names script, packages and files as sources, with a mode that no umask changes', async () => {
    await rig.write('s/run', 'true', 0o700)
    await rig.write('p/x.deb', 'x', 0o600)
    await rig.write('f', 'f', 0o664)
    const found = await sources({ script: 's/run', packages: ['p/x.deb'], files: { '/f': 'f', '/g': './f' } })
    assert.deepEqual(
      found.map((source) => [source.path, source.type !== 'symlink' && source.mode]),
      [
        ['f', 0o644],
        ['p/x.deb', 0o644],
        ['s/run', 0o755],
      ],
    )
  })

  it('refuses what is missing or no file', async () => {
    await mkdir(join(rig.project, 'folder'), { recursive: true })
    await assert.rejects(sources({ script: 'none.sh' }), {
      code: 'E_INPUT',
      message: /none\.sh does not exist/,
    })
    await assert.rejects(sources({ script: 'folder' }), { code: 'E_INPUT', message: /has to be a file/ })
    await mkdir(join(rig.project, 'some-folder/in'), { recursive: true })
    await assert.rejects(sources({ files: { '/opt/f': 'some-folder' } }), {
      code: 'E_INPUT',
      message: /some-folder has to be a file, but is a directory/,
    })
    assert.deepEqual(await sources({ files: 'some-folder' }), [], 'git would hold no empty folder either')
    await assert.rejects(sources({ files: 'nowhere' }), {
      code: 'E_INPUT',
      message: /nowhere does not exist/,
    })
  })
})
