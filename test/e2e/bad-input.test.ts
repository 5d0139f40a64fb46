/** What each kind of bad input gets from the whole program: an error with file, place and remedy, and nothing half-written. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { Store } from '../../lib/engine/store/store.ts'
import { claimed } from '../helpers/claimed-xz.ts'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'
import { copyCode, type Scratch, scratchProject } from '../helpers/scratch.ts'

interface Case {
  title: string
  /** Files of the project. */
  files?: Record<string, string | Uint8Array>
  prepare?: (scratch: Scratch) => unknown
  /** In place of the project's own stock image. */
  stock?: Uint8Array | (() => Uint8Array)
  /** Expressions of pipeline.ts. */
  from?: string
  layers?: string
  save?: string
  args?: string[]
  env?: Record<string, string>
  code: number
  error: RegExp
  skip?: string | false
}

const sample = readFileSync(join(checkout, 'fixtures/sample.img.xz'))
/** Where its second partition begins, bytes. */
const rootStart = 46_137_344

/** The sample with a byte changed. */
function flipped(at: number): Buffer {
  const copy = Buffer.from(sample)
  copy[at < 0 ? copy.length + at : at]! ^= 0x10
  return copy
}

describe('bad input', { skip: missing('xz', 'debugfs', 'sfdisk', 'mkfs.ext4', 'mkswap', 'openssl') }, () => {
  let shared: string
  let code: string
  let raw: string

  before(async () => {
    shared = await mkdtemp(join(tmpdir(), 'fleetsie-bad-'))
    code = join(shared, 'code')
    await copyCode(code)
    raw = join(shared, 'raw.img')
    execFileSync('sh', [
      '-c',
      'xz -dc "$1" | dd of="$2" conv=sparse bs=64K status=none',
      'sh',
      join(checkout, 'fixtures/sample.img.xz'),
      raw,
    ])
  })
  after(() => removeTree(shared))

  let copies = 0
  /** The raw sample after `edit`, packed again. */
  function edited(edit: (disk: string) => void): Buffer {
    const disk = join(shared, `copy-${copies++}.img`)
    tool('cp', ['--sparse=always', raw, disk])
    edit(disk)
    tool('xz', ['-0', disk])
    return readFileSync(`${disk}.xz`)
  }
  const debugfs = (disk: string, ...requests: string[]) => {
    for (const request of requests) tool('debugfs', ['-w', '-R', request, `${disk}?offset=${rootStart}`])
  }
  const patch = (disk: string, at: number, bytes: Buffer) => {
    const image = readFileSync(disk)
    bytes.copy(image, at)
    writeFileSync(disk, image)
  }
  /** Bytes of an MBR entry: number from 1. */
  const entry = (number: number): number => 446 + 16 * (number - 1)
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return bytes
  }

  const images: Case[] = [
    {
      title: 'a stock image that is no image at all',
      stock: Buffer.from('<html>404</html>\n'),
      code: 6,
      error: /stock\.img\.xz: this is no \.xz file.*byte 0.*\n {2}try: get the file again/,
    },
    {
      title: 'an empty file',
      stock: Buffer.alloc(0),
      code: 6,
      error: /stock\.img\.xz: this is no \.xz file/,
    },
    ...[1, 5000, sample.length - 1].map(
      (length): Case => ({
        title: `an .xz cut off after ${length} bytes`,
        stock: sample.subarray(0, length),
        code: 6,
        error: /stock\.img\.xz: .*\(byte \d+\)\n {2}try: get the file again/,
      }),
    ),
    ...[7, 20, sample.length >> 1, -5].map(
      (at): Case => ({
        title: `an .xz with one bit flipped at ${at}`,
        stock: flipped(at),
        code: 6,
        error: /stock\.img\.xz: .*(CRC32|corrupt).*bytes? \d+.*\n {2}try: get the file again/,
      }),
    ),
    {
      title: 'an .xz with something behind it',
      stock: Buffer.concat([sample, Buffer.from('more')]),
      code: 6,
      error: /stock\.img\.xz: .*something follows it \(byte \d+\)/,
    },
    {
      title: 'a size that would fill the disk',
      stock: claimed(2 ** 37),
      code: 8,
      error:
        /stock\.img\.xz: the image needs 131072 MiB or more, but only \d+ MiB are free in the store\n {2}try: /,
    },
    {
      title: 'a size beyond all images',
      stock: claimed(2 ** 50),
      code: 4,
      error: /at most 262144 MiB are possible/,
    },
    {
      title: 'no partition table',
      stock: Buffer.alloc(4 * MiB),
      from: `fetch({ file: 'stock.img.xz', name: 'stock.img' })`,
      code: 6,
      error: /partition table/,
    },
    {
      title: 'partitions that overlap',
      stock: () => edited((disk) => patch(disk, entry(2) + 8, u32(4096))),
      code: 6,
      error: /disk\.img \(made by decompress\): partition 1 begins at byte 4194304, inside partition 2/,
    },
    {
      title: 'a partition that runs past the end',
      stock: () => edited((disk) => truncateSync(disk, 100 * MiB)),
      code: 6,
      error:
        /disk\.img \(made by decompress\): partition 2 runs to byte 134217728, past the end at byte 104857600/,
    },
    {
      title: 'a filesystem with a journal to replay',
      files: { 'overlays/part_2/etc/motd': 'x' },
      stock: () => edited((disk) => debugfs(disk, 'feature needs_recovery')),
      code: 6,
      error: /part_2 was not unmounted cleanly: its journal has to be replayed\n {2}try: /,
    },
    {
      title: 'a filesystem with errors',
      files: { 'overlays/part_2/etc/motd': 'x' },
      stock: () => edited((disk) => debugfs(disk, 'freeb 1 3000', 'clri /etc/os-release')),
      layers: `[overlay({ from: 'overlays' })]`,
      code: 6,
      error: /part_2 does not pass e2fsck -fn:[\s\S]*\n {2}try: /,
    },
    {
      title: 'a filesystem of a kind that cannot be edited',
      files: { 'overlays/part_2/etc/motd': 'x' },
      stock: () =>
        edited((disk) => {
          const swap = join(shared, 'swap')
          writeFileSync(swap, Buffer.alloc(MiB))
          tool('mkswap', [swap])
          tool('dd', [
            `if=${swap}`,
            `of=${disk}`,
            'conv=notrunc',
            'bs=1M',
            `seek=${rootStart / MiB}`,
            'status=none',
          ])
        }),
      layers: `[overlay({ from: 'overlays' })]`,
      code: 4,
      error: /part_2 holds swap; layers can be applied to ext2, ext3, ext4 and FAT/,
    },
    {
      title: 'an image that holds another system',
      layers: `[install({ image, os: 'Ubuntu' })]`,
      code: 1,
      error: /this image is not Ubuntu: partition 2 holds Debian GNU\/Linux 12[\s\S]*try: set `os: 'Debian'`/,
    },
    {
      title: 'a layer for a partition that is not there',
      files: { 'overlays/part_7/x': 'x' },
      code: 1,
      error: /a layer is for partition 7, which the image does not have\n {2}try: the image has 1, 2/,
    },
  ]

  const overlays: Case[] = [
    {
      title: 'no overlay folder',
      prepare: ({ project }) => rm(join(project, 'overlays'), { recursive: true }),
      code: 1,
      error: /there is no folder overlays\n {2}try: make it/,
    },
    {
      title: 'a name with .. by mtree',
      files: { 'overlays/part_2.mtree': './../etc/x type=dir\n' },
      code: 1,
      error: /part_2\.mtree.*1/,
    },
    {
      title: 'a damaged mtree',
      files: { 'overlays/part_2.mtree': './x mode=9x\n' },
      code: 1,
      error: /part_2\.mtree/,
    },
    {
      title: 'a partition folder that is a link to elsewhere',
      prepare: ({ project }) => symlink('/etc', join(project, 'overlays/part_2')),
      code: 2,
      error: /overlays\/part_2 has to be a folder, but is a symlink/,
    },
    {
      title: 'a device node',
      prepare: async ({ project }) => {
        await mkdir(join(project, 'overlays/part_2'))
        tool('mknod', [join(project, 'overlays/part_2/null'), 'c', '1', '3'])
      },
      code: 1,
      error: /part_2\/null" is a character device/,
      skip: needsRoot,
    },
    {
      title: 'a fifo',
      prepare: async ({ project }) => {
        await mkdir(join(project, 'overlays/part_2'))
        tool('mkfifo', [join(project, 'overlays/part_2/pipe')])
      },
      code: 1,
      error: /part_2\/pipe" is a fifo/,
    },
    {
      title: 'a private key',
      prepare: ({ project }) =>
        mkdir(join(project, 'overlays/part_2/etc'), { recursive: true }).then(() =>
          tool('openssl', [
            'genpkey',
            '-algorithm',
            'ED25519',
            '-out',
            join(project, 'overlays/part_2/etc/host.key'),
          ]),
        ),
      code: 2,
      error: /overlays\/part_2\/etc\/host\.key.*private key[\s\S]*allowPrivateKeys/,
    },
    {
      title: 'names that are one on FAT',
      files: { 'overlays/part_1/README.txt': '1', 'overlays/part_1/readme.TXT': '2' },
      code: 1,
      error: /part_1\.tar \(made by overlay\): "readme\.TXT" and "README\.txt" differ only in case/,
    },
    {
      title: 'a name that FAT cannot hold',
      files: { 'overlays/part_1/a:b': '1' },
      code: 1,
      error: /"a:b" has a name that FAT cannot hold: it has ":"/,
    },
    {
      title: 'a file where another layer needs a folder',
      files: { 'overlays/part_2/etc': 'a file' },
      code: 1,
      error: /part_2\.tar \(made by install\): etc\/systemd\/.*: a part of this path is a file, not a folder/,
    },
    {
      title: 'a folder where the image has a file',
      files: {
        'overlays/part_2/etc/os-release/x: etc/os-release is a file in the image, not a folder\n {2}try: a whiteout/x':
          'x',
      },
      code: 1,
      error: /os-release/,
    },
    {
      title: 'a layer that does not fit',
      prepare: async ({ project }) => {
        await mkdir(join(project, 'overlays/part_2'), { recursive: true })
        await writeFile(join(project, 'overlays/part_2/big'), Buffer.alloc(90 * MiB, 'x'))
      },
      code: 4,
      error: /part_2 has \d+ bytes free; the layers need \d+ bytes \([\d.]+ MiB\) more\n {2}try: .*`grow`/,
    },
  ]

  const rest: Case[] = [
    {
      title: 'an option of the wrong type',
      layers: `[overlay({ from: 7 })]`,
      code: 1,
      error: /overlay: option `from` got 7: .*\n.*docs\/stages\/overlay\.md/,
    },
    {
      title: 'an option that there is not',
      layers: `[overlay({ form: 'overlays' })]`,
      code: 1,
      error: /there is no option `form`/,
    },
    {
      title: 'an unknown OSTYPE',
      layers: `[install({ image, os: 'Gentoo' })]`,
      code: 1,
      error: /"Gentoo".*'Raspberry Pi OS', 'Debian', 'Ubuntu'/,
    },
    {
      title: 'a deploy stage as an input',
      layers: `[sign({ artifacts: image })]`,
      code: 1,
      error: /option `layers\.0` got Derivation: takes the result of a build stage/,
    },
    {
      title: 'an image where a table belongs',
      save: `{ stock, image, table: image, layers, name: 'sample' }`,
      code: 1,
      error: /the result of `mount` is needed, and this is none/,
    },
    {
      title: 'a name that is a path',
      save: `{ stock, image, table, layers, name: '../x' }`,
      code: 1,
      error: /option `name` got "\.\.\/x"/,
    },
    {
      title: 'a size that is none',
      save: `{ stock, image, table, layers, name: 'x', grow: '1X' }`,
      code: 1,
      error: /option `grow` got "1X"/,
    },
    {
      title: 'a size to grow to that is smaller',
      save: `{ stock, image, table, layers, name: 'x', grow: '1M' }`,
      code: 1,
      error: /134217728 bytes and cannot become 1048576/,
    },
    {
      title: 'a file that is not there',
      from: `fetch({ file: 'missing.img.xz' })`,
      code: 1,
      error: /missing\.img\.xz: there is no such file\n {2}try: /,
    },
    {
      title: 'a file with another sum',
      from: `fetch({ file: 'stock.img.xz', sha256: '${'0'.repeat(64)}' })`,
      code: 5,
      error: /stock\.img\.xz: the file has sha256/,
    },
    {
      title: 'a URL without a sum',
      from: `fetch({ url: 'https://example.com/x.img.xz' })`,
      code: 1,
      error: /sha256/,
    },
    {
      title: 'a download with --offline',
      from: `fetch({ url: 'http://127.0.0.1:1/x.img.xz', sha256: '${'0'.repeat(64)}' })`,
      args: ['--offline'],
      code: 4,
      error: /offline/,
    },
    {
      title: 'a server that does not answer',
      from: `fetch({ url: 'http://127.0.0.1:1/x.img.xz', sha256: '${'0'.repeat(64)}' })`,
      code: 4,
      error: /127\.0\.0\.1/,
    },
    {
      title: 'a missing program',
      layers: '[needy({})]',
      code: 7,
      error: /the program `no-such-program` is not installed\n {2}try: .*doctor/,
    },
    {
      title: 'a script that fails',
      layers: `[script({ text: 'echo before; echo why >&2; exit 9' })]`,
      code: 4,
      error: /sh .*exit code 9:\nwhy/,
    },
    {
      title: 'a script that hangs',
      layers: `[script({ text: 'sleep 1000 & sleep 1000' })]`,
      code: 4,
      error: /was ended after 1000 ms/,
    },
    { title: 'a stage that throws', layers: `[thrower({})]`, code: 4, error: /thrower: no such colour/ },
    {
      title: 'a pipeline without targets',
      prepare: ({ project }) =>
        writeFile(
          join(project, 'pipeline.ts'),
          `import { pipeline } from '${code}/lib/index.ts'\nawait pipeline({})`,
        ),
      code: 1,
      error: /no targets/,
    },
    {
      title: 'a SOURCE_DATE_EPOCH that is none',
      env: { SOURCE_DATE_EPOCH: 'yesterday' },
      code: 1,
      error: /SOURCE_DATE_EPOCH is "yesterday"\n {2}try: seconds since 1970/,
    },
    {
      title: 'a signing key that is none',
      env: { FLEETSIE_SIGNING_KEY: 'SECRET-MARK', FLEETSIE_SIGNING_CERT: 'x' },
      code: 1,
      error: /FLEETSIE_SIGNING_KEY/,
    },
    {
      title: 'a store that is none',
      prepare: async ({ store }) => {
        await mkdir(store)
        await writeFile(join(store, 'db.sqlite'), 'this is no database at all'.repeat(100))
      },
      code: 6,
      error: /db\.sqlite/,
    },
    {
      title: 'a store where a file is',
      prepare: ({ store }) => writeFile(store, 'x'),
      code: 8,
      error: /store/,
    },
  ]

  for (const [group, cases] of Object.entries({ images, overlays, rest })) {
    describe(group, { concurrency: 2 }, () => {
      for (const one of cases) {
        test(`${one.title}: exit code ${one.code}`, { skip: one.skip ?? false }, async (t) => {
          const scratch = await scratchProject(code)
          t.after(() => scratch.remove())
          await set(scratch, one)
          const out = { 'sample_fleetsie.img.xz': 'an earlier image', 'ca.crt': 'an earlier certificate' }
          for (const [name, content] of Object.entries(out)) await scratch.write(`out/${name}`, content)

          const env = { XDG_CACHE_HOME: join(scratch.folder, 'cache'), ...one.env }
          const ended = await scratch.run(['build', ...(one.args ?? [])], { env })
          assert.match(ended.stderr, one.error)
          assert.equal(ended.code, one.code, ended.stderr)
          assert.match(ended.stderr, /^error: /m)
          assert.doesNotMatch(ended.stdout + ended.stderr, /SECRET-MARK|^ {4}at .*\(.*:\d+:\d+\)/m)
          await assertUntouched(scratch, out)
        })
      }
    })
  }

  async function set(scratch: Scratch, one: Case): Promise<void> {
    const { from = `fetch({ file: 'stock.img.xz' })`, layers = usual(one) } = one
    const { save = `{ stock, image, table, layers, name: 'sample' }` } = one
    await scratch.write(
      'pipeline.ts',
      `import { decompress, fetch, input, install, mount, overlay, pipeline, save, sign, stage } from '${code}/lib/index.ts'
import { needy, script, thrower } from './stages.ts'
await pipeline({
  sample: () => {
    const stock = ${from}
    const image = decompress({ from: stock })
    const table = mount({ image })
    const layers = ${layers}
    return sign({ artifacts: save(${save}), out: 'out' })
  },
})
`,
    )
    await scratch.write('stages.ts', ownStages(code))
    const stock = typeof one.stock === 'function' ? one.stock() : one.stock
    if (stock) {
      await rm(join(scratch.project, 'stock.img.xz'))
      await scratch.write('stock.img.xz', stock)
    }
    for (const [name, content] of Object.entries(one.files ?? {})) await scratch.write(name, content)
    await one.prepare?.(scratch)
  }
})

/** No overlay where the case has none: an empty one would be what is refused. */
function usual({ title, files, prepare }: Case): string {
  const overlaid = title.includes('overlay') || files !== undefined || prepare !== undefined
  return `[${overlaid ? `overlay({ from: 'overlays' }), ` : ''}install({ image, os: 'Debian' })]`
}

/** out/ is as it was, the store is whole, and no work folder is left. */
async function assertUntouched(scratch: Scratch, out: Record<string, string>): Promise<void> {
  const names = await readdir(join(scratch.project, 'out'))
  assert.deepEqual(names.sort(), Object.keys(out).sort())
  for (const [name, content] of Object.entries(out)) {
    assert.equal(await readFile(join(scratch.project, 'out', name), 'utf8'), content)
  }
  const store = await Store.open(scratch.store, { readOnly: true }).catch(() => undefined)
  if (!store) return
  assert.deepEqual((await store.verify()).problems, [])
  await store.close()
  assert.deepEqual(await readdir(join(scratch.store, 'stage')), [])
}

const ownStages = (code: string): string => `
import * as v from 'valibot'
import { stage } from '${code}/lib/index.ts'
const common = { kind: 'build', module: import.meta.url, summary: '', description: '', example: '' }
export const needy = stage({ ...common, name: 'needy', options: v.strictObject({}), tools: () => ['no-such-program'], run: async () => {} })
export const thrower = stage({ ...common, name: 'thrower', options: v.strictObject({}), run: async () => { throw new Error('no such colour') } })
export const script = stage({
  ...common, name: 'script', options: v.strictObject({ text: v.string() }),
  run: async ({ run, options }) => { await run('sh', ['-c', options.text], { timeout: 1000 }) },
})
`
