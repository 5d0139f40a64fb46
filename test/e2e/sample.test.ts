/** The sample from an untouched checkout to a signed image, judged by the programs that users have. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cp, readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { BuildEvent } from '../../lib/engine/events.ts'
import { missing, sfdiskTable, tool } from '../helpers/disks.ts'
import { type Finished, type Scratch, scratchCheckout } from '../helpers/scratch.ts'

const stem = 'sample_fleetsie'
const files = [
  'ca.crt',
  `${stem}.img.bmap`,
  `${stem}.img.xz`,
  `${stem}.img.xz.p7s`,
  `${stem}.imager.json`,
  `${stem}.intoto.json`,
  `${stem}.sha256sums`,
  `${stem}.sha256sums.p7s`,
  `${stem}.spdx.json`,
]
files.sort()
const stages = ['fetch', 'decompress', 'mount', 'overlay', 'install', 'save', 'sign']

describe('the sample', { skip: missing('xz', 'openssl', 'sfdisk', 'debugfs', 'e2fsck', 'mdir') }, () => {
  let scratch: Scratch
  let first: Finished
  const out = (name: string): string => join(scratch.project, 'out', name)
  const at = (options: Parameters<typeof execFileSync>[2] = {}) => ({ cwd: scratch.project, ...options })

  before(async () => {
    scratch = await scratchCheckout()
    first = await scratch.run(['build', '--json'])
    assert.equal(first.code, 0, first.stdout + first.stderr)
  })
  after(() => scratch?.remove())

  test('is built by every stage, each with its reason', () => {
    const told = first.events.filter((event) => event.type === 'stage')
    assert.deepEqual(told.map((event) => event.stage).sort(), [...stages].sort())
    for (const event of told) {
      assert.deepEqual(Object.keys(event), ['type', 'target', 'stage', 'action', 'because', 'ms'])
      assert.equal(event.target, 'sample')
      assert.equal(event.action, event.stage === 'sign' ? 'applied' : 'built')
      assert.equal(event.because, 'it was never built before')
      assert.ok(Number.isInteger(event.ms) && event.ms >= 0)
    }
    assert.equal(first.stderr, '', 'with --json all is on stdout')
  })

  test('tells its artifacts last, with their digests', async () => {
    const last = first.events.at(-1) as Extract<BuildEvent, { type: 'artifacts' }>
    assert.deepEqual(Object.keys(last), ['type', 'target', 'artifacts'])
    assert.deepEqual([last.type, last.target], ['artifacts', 'sample'])
    const told = last.artifacts.map(({ path }) => path).sort()
    assert.deepEqual(told, files.map(out))
    assert.deepEqual((await readdir(out(''))).sort(), files, 'and nothing else is in out/')
    const sums = last.artifacts.map(({ sha256, path }) => `${sha256}  ${path}\n`).join('')
    tool('sha256sum', ['--check', '--strict', '--quiet'], sums)
    const kinds = new Set(last.artifacts.map(({ kind }) => kind))
    const expected = ['image', 'bmap', 'sbom', 'imager', 'sums', 'signature', 'provenance', 'certificate']
    assert.deepEqual(kinds, new Set(expected))
  })

  test('is an .xz file and signed, as the README has the commands', () => {
    execFileSync('xz', ['-t', `out/${stem}.img.xz`], at())
    const line = `openssl cms -verify -binary -inform DER -in out/${stem}.img.xz.p7s -content out/${stem}.img.xz -CAfile out/ca.crt -out /dev/null`
    const [command = '', ...args] = line.split(' ')
    execFileSync(command, args, at({ stdio: 'pipe' }))
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', `${stem}.sha256sums`], { cwd: out('') })
  })

  test('is described for the Raspberry Pi Imager, which holds what it unpacked against that', () => {
    const [entry] = JSON.parse(readFileSync(out(`${stem}.imager.json`), 'utf8')).os_list
    const raw = execFileSync('sh', ['-c', `xz -dc out/${stem}.img.xz | sha256sum`], at({ encoding: 'utf8' }))
    assert.equal(entry.extract_sha256, String(raw).slice(0, 64))
    assert.equal(entry.name, 'fleetsie sample')
  })

  test('is verified by its own verb, and a changed byte is found', async () => {
    assert.equal((await scratch.run(['verify', `out/${stem}.img.xz`])).code, 0)
    const copies = join(scratch.folder, 'copies')
    await cp(out(''), copies, { recursive: true })
    const image = readFileSync(out(`${stem}.img.xz`))
    image[1000]! ^= 1
    await scratch.write('../copies/sample_fleetsie.img.xz', image)
    const { code, stderr } = await scratch.run(['verify', join(copies, `${stem}.img.xz`)])
    assert.equal(code, 5)
    assert.match(stderr, /sample_fleetsie\.img\.xz/)
  })

  test('has clean filesystems, with the files of the overlay and the enabled unit inside', () => {
    const disk = join(scratch.folder, 'disk.img')
    execFileSync('sh', ['-c', 'xz -dc "$1" > "$2"', 'sh', out(`${stem}.img.xz`), disk])
    const table = sfdiskTable(disk)
    const [boot, root] = table.partitions.map((partition, index) => {
      const path = join(scratch.folder, `part_${index + 1}.img`)
      const [start, size] = [Number(partition['start']), Number(partition['size'])]
      tool('dd', [`if=${disk}`, `of=${path}`, 'bs=512', `skip=${start}`, `count=${size}`, 'status=none'])
      return path
    }) as [string, string]
    tool('e2fsck', ['-fn', root])
    tool('fsck.fat', ['-n', boot])

    const inside = (request: string): string => tool('debugfs', ['-R', request, root])
    const own = (name: string): string => readFileSync(join(scratch.project, name), 'utf8')
    assert.equal(inside('cat /etc/motd'), own('overlays/part_2/etc/motd'))
    assert.equal(inside('cat /usr/bin/fleetsie_provision'), own('units/fleetsie_provision'))
    assert.match(inside('stat /usr/bin/fleetsie_provision'), /Mode: +0755[\s\S]*User: +0 +Group: +0/)
    const unit = '/usr/lib/systemd/system/fleetsie-provision.service'
    assert.equal(inside(`cat ${unit}`), own('units/fleetsie-provision.service'))
    const link = inside('stat /etc/systemd/system/multi-user.target.wants/fleetsie-provision.service')
    assert.ok(link.includes(`Fast link dest: "${unit}"`) || link.includes(unit), link)
    assert.match(tool('mdir', ['-i', boot, '::/']), /fleetsie\s+txt/i)
    assert.equal(tool('mtype', ['-i', boot, '::/fleetsie.txt']), own('overlays/part_1/fleetsie.txt'))
  })

  test('keeps what the stock image has: disk id, PARTUUIDs, labels and UUIDs', () => {
    const stock = join(scratch.folder, 'stock.img')
    execFileSync('sh', ['-c', 'xz -dc fixtures/sample.img.xz > "$1"', 'sh', stock], at())
    const identity = (disk: string) => {
      const { id, partitions } = sfdiskTable(disk)
      const blkid = partitions.map(({ start, size }) =>
        tool('blkid', [
          '-p',
          '-o',
          'export',
          '-O',
          String(Number(start) * 512),
          '-S',
          String(Number(size) * 512),
          disk,
        ])
          .split('\n')
          .filter((line) => /^(UUID|LABEL|TYPE|VERSION|PART)/.test(line)),
      )
      return { id, blkid, partitions: partitions.map(({ node, ...rest }) => rest) }
    }
    assert.deepEqual(identity(join(scratch.folder, 'disk.img')), identity(stock))
  })

  test('built again runs nothing, however often its files are touched', async () => {
    const later = new Date(Date.now() + 5000)
    for (const name of [
      'overlays/part_2/etc/motd',
      'overlays/part_1/fleetsie.txt',
      'fixtures/sample.img.xz',
      'stages/save.ts',
    ]) {
      await utimes(join(scratch.project, name), later, later)
    }
    const before = await stat(out(`${stem}.img.xz`))
    const { code, events, stages: told } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    const expected = stages.map((stage) => [
      `${stage} ${stage === 'sign' ? 'unchanged' : 'cached'}`,
      'nothing changed',
    ])
    assert.deepEqual(told, new Map(expected as [string, string][]))
    assert.ok(!events.some((event) => event.type === 'start'))
    assert.deepEqual((await stat(out(`${stem}.img.xz`))).mtimeMs, before.mtimeMs)
    const last = events.at(-1)
    assert.deepEqual(last, first.events.at(-1), 'and tells the same artifacts')
  })

  test('with one overlay file edited runs overlay, save and sign, and says why', async () => {
    await scratch.write('overlays/part_2/etc/motd', 'edited\n')
    const dry = await scratch.run(['build', '--dry-run'])
    assert.match(dry.stdout, /^overlay +would run +because overlays\/part_2\/etc\/motd changed/m)
    const { code, events, stages: told } = await scratch.run(['build', '--json'])
    assert.equal(code, 0)
    const ran = [...told].filter(([line]) => / (built|applied)$/.test(line))
    assert.deepEqual(
      ran.map(([line]) => line),
      ['overlay built', 'save built', 'sign applied'],
    )
    assert.match(
      told.get('overlay built')!,
      /^overlays\/part_2\/etc\/motd changed \([0-9a-f]{4} -> [0-9a-f]{4}\)$/,
    )
    assert.equal(told.get('save built'), 'its input overlay (layers.0) changed')
    assert.equal(told.get('sign applied'), 'its input save (artifacts) changed')
    assert.equal(events.filter((event) => event.type === 'start').length, 3)
    const { stdout } = await scratch.run(['explain', 'overlay'])
    assert.match(
      stdout,
      /sample\/overlay: is up to date\n {2}compared with the run of .*:\n {2}overlays\/part_2\/etc\/motd changed/,
    )
    const image = execFileSync('xz', ['-dc', out(`${stem}.img.xz`)], { maxBuffer: 2 ** 30 })
    assert.ok(image.includes('edited\n'))
  })

  test('with a deployed file changed has it put back, and nothing is built', async () => {
    await scratch.write(`out/${stem}.img.bmap`, 'damaged')
    const { stages: told } = await scratch.run(['build', '--json'])
    assert.equal(told.get('sign applied'), `out/${stem}.img.bmap was changed`)
    assert.equal([...told.keys()].filter((line) => line.endsWith('built')).length, 0)
    assert.match(readFileSync(out(`${stem}.img.bmap`), 'utf8'), /<bmap version="2\.0">/)
  })

  test('is reproducible: build --check passes', async () => {
    const { code, stages: told, stderr } = await scratch.run(['build', '--check', '--json'])
    assert.equal(code, 0, stderr)
    for (const stage of stages.slice(0, -1))
      assert.equal(told.get(`${stage} cached`), 'built again and found equal')
  })

  test('a stage made to be non-deterministic fails with 104 and the first difference', async () => {
    await scratch.write('stages/dice.ts', dice)
    const pipeline = readFileSync(join(scratch.project, 'pipeline.ts'), 'utf8')
    const imported = `import { dice } from './stages/dice.ts'\n${pipeline}`
    await scratch.write(
      'pipeline.ts',
      imported.replace(/\bpipeline\(\{/, 'pipeline({\n  dice: () => dice({}),'),
    )
    assert.equal((await scratch.run(['build', 'dice'])).code, 0, 'once, it is as good as any')
    const { code, stderr } = await scratch.run(['build', 'dice', '--check'])
    assert.equal(code, 104)
    assert.match(
      stderr,
      /dice is not reproducible: numbers: the first different byte is at \d+ \(sizes \d+ and \d+\)/,
    )
    assert.match(stderr, /try: look for a clock/)
    const { events } = await scratch.run(['build', 'dice', '--check', '--json'])
    const error = events.at(-1) as Extract<BuildEvent, { type: 'error' }>
    assert.deepEqual([error.type, error.code], ['error', 'E_NOT_REPRODUCIBLE'])
  })

  test('its store is whole, and gc keeps what out/ was made of', async () => {
    assert.equal((await scratch.run(['store', 'verify'])).code, 0)
    assert.equal((await scratch.run(['gc'])).code, 0)
    const { code, stages: told } = await scratch.run(['build', 'sample', '--json'])
    assert.equal(code, 0)
    assert.ok(
      [...told.keys()].every((line) => / (cached|unchanged)$/.test(line)),
      [...told.keys()].join(', '),
    )
    assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
    assert.equal((await scratch.run(['store', 'verify'])).code, 0)
  })

  const usage: [title: string, args: string[], code: number, message: RegExp][] = [
    ['help ends well', ['--help'], 0, /Usage: fleetsie/],
    ['a verb has help with an example', ['build', '--help'], 0, /Example:\n {2}\$ fleetsie build/],
    ['no verb at all', [], 1, /Usage: fleetsie/],
    ['an unknown verb', ['biuld'], 1, /unknown command 'biuld'/],
    ['an unknown option', ['build', '--frob'], 1, /unknown option '--frob'/],
    ['an unknown target', ['build', 'nope'], 1, /there is no target "nope"\n {2}try: one of .*sample/],
    [
      'a stage that no target has',
      ['build', 'sample', '--no-cache=nope'],
      1,
      /--no-cache=nope: there is no such stage/,
    ],
    ['no jobs', ['build', '-j', '0'], 1, /whole number above 0/],
    [
      'explain of an unknown stage',
      ['explain', 'nope'],
      1,
      /the target \w+ has no stage "nope"\n {2}try: one of/,
    ],
    ['verify of a missing file', ['verify', 'out/no such file'], 1, /no such file/],
  ]
  for (const [title, args, code, message] of usage) {
    test(`exit code ${code}: ${title}`, async () => {
      const ended = await scratch.run(args)
      assert.match(ended.stdout + ended.stderr, message)
      assert.equal(ended.code, code)
    })
  }

  test('nothing was written outside of the project, its store and its configuration', async () => {
    const found = (await readdir(scratch.folder)).sort()
    const made = ['copies', 'disk.img', 'part_1.img', 'part_2.img', 'stock.img']
    assert.deepEqual(found, ['config', 'project', 'store', ...made].sort())
    assert.ok(!existsSync(join(scratch.project, 'node_modules/.cache/fleetsie')))
  })
})

const dice = `import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { stage } from '../lib/index.ts'

export const dice = stage({
  kind: 'build',
  name: 'dice',
  module: import.meta.url,
  summary: 'Random numbers.',
  description: '',
  example: 'dice({})',
  options: v.strictObject({}),
  run: ({ out }) => writeFile(join(out, 'numbers'), randomBytes(64)),
})
`
