import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Derivation } from '../../lib/engine/stage.ts'
import { readLayer } from '../../lib/formats/layer.ts'
import { recipes } from '../../lib/images/os/recipes.ts'
import { install } from '../../stages/install.ts'
import { buildContext, fakeInput } from '../helpers/context.ts'

const fixture = join(import.meta.dirname, '../../fixtures/sample.img.xz')
const units = join(import.meta.dirname, '../../units')
const MiB = 1024 * 1024
const unit = 'fleetsie-provision.service'

interface Member {
  type: string
  mode?: number
  uid?: number
  target?: string
  content: string
}

interface Refusal {
  title: string
  files?: Record<string, string>
  commands?: string[]
  chosen: { os: string; partition?: number }
  message: RegExp
  hint: RegExp
}

/** Runs the stage on the image in `folder`; answers its layers' entries by file and path. */
async function run(
  folder: string,
  chosen: { os: string; partition?: number },
): Promise<Map<string, Map<string, Member>>> {
  const { partition, os } = chosen
  const context = await buildContext({ image: fakeInput(folder), os, partition })
  try {
    assert.ok(install.stage.kind === 'build')
    await install.stage.run(context)
    const layers = new Map<string, Map<string, Member>>()
    for (const name of execFileSync('ls', [context.out], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
      const members = new Map<string, Member>()
      for await (const { entry, content } of readLayer(createReadStream(join(context.out, name)))) {
        const pieces: Buffer[] = []
        for await (const piece of content) pieces.push(piece)
        const attributes = 'mode' in entry ? { mode: entry.mode, uid: entry.uid } : {}
        const target = entry.type === 'symlink' ? { target: entry.target } : {}
        members.set(entry.path, {
          type: entry.type,
          ...attributes,
          ...target,
          content: Buffer.concat(pieces).toString(),
        })
      }
      layers.set(name, members)
    }
    return layers
  } finally {
    await context.remove()
  }
}

describe('install', () => {
  let tmp = ''
  /** A copy of the sample after some commands of debugfs on its root filesystem. */
  const image = (name: string, files: Record<string, string>, commands: string[] = []): string => {
    const folder = join(tmp, name)
    mkdirSync(folder)
    const root = join(folder, 'root.img')
    execFileSync('cp', ['--sparse=always', join(tmp, 'disk.img'), join(folder, 'disk.img')])
    const dd = (args: string[]): Buffer =>
      execFileSync('dd', ['bs=1M', 'conv=notrunc,sparse', 'status=none', ...args])
    dd([`if=${join(folder, 'disk.img')}`, `of=${root}`, 'skip=44', 'count=84'])
    const script = [...commands]
    for (const [path, content] of Object.entries(files)) {
      const source = join(folder, path.replaceAll('/', '_'))
      writeFileSync(source, content)
      script.push(`rm ${path}`, `write ${source} ${path}`)
    }
    writeFileSync(join(folder, 'script'), `${script.join('\n')}\n`)
    execFileSync('/usr/sbin/debugfs', ['-w', '-f', join(folder, 'script'), root], { stdio: 'pipe' })
    dd([`if=${root}`, `of=${join(folder, 'disk.img')}`, 'seek=44'])
    return folder
  }

  before(() => {
    tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-install-'))
    const result = spawnSync('sh', ['-c', 'exec xz -dc "$1" >"$2"', 'sh', fixture, join(tmp, 'disk.img')])
    assert.equal(result.status, 0)
    execFileSync('truncate', ['-s', `${128 * MiB}`, join(tmp, 'disk.img')])
  })
  after(() => rmSync(tmp, { recursive: true, force: true }))

  it('makes a layer of program, unit, what stable means, and the link that enables it', async () => {
    const layers = await run(tmp, { os: 'Debian' })
    assert.deepEqual([...layers.keys()], ['part_2.tar'])
    const members = layers.get('part_2.tar') ?? new Map<string, Member>()
    const shape = [...members].map(
      ([path, { type, mode, uid }]) => `${type} ${mode?.toString(8)} ${uid} ${path}`,
    )
    const parts = readdirSync(join(units, 'provision')).filter((name) => name.endsWith('.sh'))
    assert.deepEqual(shape, [
      `symlink 777 0 etc/systemd/system/multi-user.target.wants/${unit}`,
      'symlink 777 0 usr/bin/fleetsie',
      'file 755 0 usr/bin/fleetsie_provision',
      'directory 755 0 usr/lib/fleetsie',
      ...[...parts, 'ssh-tunnel.service', 'ssh_tunnel.sh']
        .sort()
        .map((name) => `file ${name === 'ssh_tunnel.sh' ? 755 : 644} 0 usr/lib/fleetsie/${name}`),
      `file 644 0 usr/lib/systemd/system/${unit}`,
      `directory 755 0 usr/lib/systemd/system/${unit}.d`,
      `file 644 0 usr/lib/systemd/system/${unit}.d/stable.conf`,
      'symlink 777 0 usr/lib/systemd/system/fleetsie.service',
    ])
    assert.equal(members.get('usr/bin/fleetsie')?.target, 'fleetsie_provision')
    assert.equal(members.get('usr/lib/systemd/system/fleetsie.service')?.target, unit)
    const link = members.get(`etc/systemd/system/multi-user.target.wants/${unit}`)
    assert.equal(link?.target, `/usr/lib/systemd/system/${unit}`)
    assert.equal(
      members.get('usr/bin/fleetsie_provision')?.content,
      readFileSync(join(units, 'fleetsie_provision'), 'utf8'),
    )
    assert.match(
      members.get(`usr/lib/systemd/system/${unit}.d/stable.conf`)?.content ?? '',
      /^After=multi-user.target/m,
    )
  })

  it('makes the folders that the image lacks', async () => {
    const folder = image('no-wants', {}, ['rmdir /etc/systemd/system/multi-user.target.wants'])
    const members = (await run(folder, { os: 'Debian' })).get('part_2.tar')
    assert.equal(members?.get('etc/systemd/system/multi-user.target.wants')?.type, 'directory')
    assert.equal(members?.has('etc/systemd/system'), false)
  })

  const ubuntuRelease = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'
  for (const { title, os, files } of [
    {
      title: 'takes Raspberry Pi OS for what it is',
      os: 'Raspberry Pi OS',
      files: { '/etc/rpi-issue': 'Raspberry Pi reference\n' },
    },
    { title: 'takes Ubuntu for what it is', os: 'Ubuntu', files: { '/usr/lib/os-release': ubuntuRelease } },
  ]) {
    it(title, async () => {
      const layers = await run(image(os.replaceAll(' ', '-'), files), { os })
      assert.deepEqual([...layers.keys()], ['part_2.tar'])
    })
  }

  const refusals: Refusal[] = [
    {
      title: 'a Debian image by the default OSTYPE names what it is and the option to set',
      chosen: { os: 'Raspberry Pi OS' },
      message: /not Raspberry Pi OS: partition 2 holds Debian GNU\/Linux 12 \(bookworm\)/,
      hint: /os: 'Debian'/,
    },
    {
      title: 'Raspberry Pi OS is not taken for Debian, which it says it is',
      files: { '/etc/rpi-issue': 'Raspberry Pi reference\n' },
      chosen: { os: 'Debian' },
      message: /not Debian/,
      hint: /os: 'Raspberry Pi OS'/,
    },
    {
      title: 'a system that no recipe knows is refused with those that are known',
      files: { '/usr/lib/os-release': "NAME='Arch Linux'\nID=arch\n" },
      chosen: { os: 'Debian' },
      message: /holds arch/,
      hint: /Raspberry Pi OS, Debian, Ubuntu/,
    },
    {
      title: 'an image without an os-release is refused with what its partitions are',
      commands: ['rm /usr/lib/os-release'],
      chosen: { os: 'Debian' },
      message: /no partition holds an os-release.*1: vfat, 2: ext4/,
      hint: /root filesystem/,
    },
    {
      title: 'an os-release link that runs in a circle counts as none',
      commands: ['rm /usr/lib/os-release', 'symlink /usr/lib/os-release /etc/os-release'],
      chosen: { os: 'Debian' },
      message: /no partition holds an os-release/,
      hint: /root filesystem/,
    },
    {
      title: 'a partition that is not the root is refused',
      chosen: { os: 'Debian', partition: 1 },
      message: /partition 1 is not one/,
      hint: /root filesystem/,
    },
    {
      title: 'a system without systemd is refused',
      commands: ['rm /usr/lib/systemd/system/multi-user.target', 'rmdir /usr/lib/systemd/system'],
      chosen: { os: 'Debian' },
      message: /no systemd/,
      hint: /needed/,
    },
  ]
  for (const { title, files, commands, chosen, message, hint } of refusals) {
    it(title, async () => {
      const folder = files || commands ? image(title.replaceAll(/\W/g, '-'), files ?? {}, commands) : tmp
      await assert.rejects(run(folder, chosen), (error: { code: string; message: string; hint: string }) => {
        assert.equal(error.code, 'E_INPUT')
        assert.match(error.message, message)
        assert.match(error.hint, hint)
        return true
      })
    })
  }

  it('an unknown OSTYPE is answered with the list of those that are known', () => {
    const image = new Derivation(install.stage, {})
    assert.throws(() => install({ image, os: 'Gentoo' as never }), {
      code: 'E_OPTION',
      message: /"Gentoo".*'Raspberry Pi OS', 'Debian', 'Ubuntu'/,
    })
  })

  for (const recipe of recipes) {
    const absent = spawnSync('systemd-analyze', ['--version']).error !== undefined
    it(`systemd takes the unit with what stable means for ${recipe.os}`, {
      skip: absent ? 'needs systemd-analyze' : false,
    }, () => {
      const folder = join(tmp, `verify-${recipe.os}`)
      mkdirSync(join(folder, `${unit}.d`), { recursive: true })
      const text = readFileSync(join(units, unit), 'utf8')
      writeFileSync(
        join(folder, unit),
        text.replace('/usr/bin/fleetsie_provision', join(units, 'fleetsie_provision')),
      )
      writeFileSync(join(folder, `${unit}.d/stable.conf`), recipe.dropIn)
      const { stdout, stderr, status } = spawnSync(
        'systemd-analyze',
        ['verify', '--man=no', join(folder, unit)],
        { encoding: 'utf8' },
      )
      assert.deepEqual([status, stdout + stderr], [0, ''])
    })
  }
})
