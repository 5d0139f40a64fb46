/** Names that tools or shells could take for something else: each gets into the image as it is, and runs nothing. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { removeTree } from '../../lib/engine/store/remove.ts'
import { missing, tool } from '../helpers/disks.ts'
import { sampleTarget } from '../helpers/sample-target.ts'
import { copyCode, type Finished, type Scratch, scratchProject, track } from '../helpers/scratch.ts'

let folder: string
let scratch: Scratch
let first: Finished

/** What a name that was run would leave behind. */
const trap = (): string => join(folder, 'pwned')

const extNames = (): string[] => [
  `$(touch ${trap().replaceAll('/', '\\')})`,
  '`touch pwned`',
  ';touch pwned;',
  '| touch pwned',
  '&& touch pwned',
  '$HOME',
  'a"b',
  "a'b",
  'a\\b',
  '\\',
  'a\nb',
  '\nwrite motd pwned\n',
  'a\rb',
  'tab\there',
  ' leading',
  'trailing ',
  'two  spaces',
  '-rf',
  '--help',
  '<12>',
  '"<12>"',
  '#comment',
  '[a-z]*',
  '*',
  '?',
  '%s%n',
  '~',
  'é',
  'é'.normalize('NFD'),
  '日本語',
  '🙂',
  '\u202egpj.exe',
  'x'.repeat(255),
  '日'.repeat(85),
]
const fatNames = [
  'spaces in it.txt',
  "it's.txt",
  'a;b.txt',
  '$(touch pwned).txt',
  '`touch pwned`.txt',
  '[a].txt',
  'ü日本.txt',
  'x'.repeat(255),
  '#a.txt',
  '-rf',
  '~.txt',
]

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fleetsie-names-'))
  const code = join(folder, "code of 'mine' $(x)")
  await copyCode(code)
  scratch = await scratchProject(code)
  await scratch.write('pipeline.ts', pipeline(code))
  for (const [index, name] of extNames().entries()) {
    await scratch.write(`overlays/part_2/names/${name}`, `content ${index}`)
    await scratch.write(`overlays/part_2/folders/${name}/inside`, `inside ${index}`)
  }
  for (const [index, name] of fatNames.entries())
    await scratch.write(`overlays/part_1/${name}`, `fat ${index}`)
  // A link in the image that would lead out of it, if anybody followed it on this machine.
  execFileSync('ln', ['-s', `../../../..${folder}`, join(scratch.project, 'overlays/part_2/outside')])
  await track(scratch.project)
  first = await scratch.run(['build', '--json'])
})
after(async () => {
  await scratch?.remove()
  await removeTree(folder)
})

describe('names', { skip: missing('xz', 'debugfs', 'e2fsck', 'mtype', 'mdir') }, () => {
  test('are built', () => assert.equal(first.code, 0, first.stderr + first.stdout))

  test('run nothing', () => {
    assert.ok(!existsSync(trap()))
    const places = [scratch.project, scratch.store, folder, '/tmp', process.cwd(), process.env['HOME'] ?? '/']
    for (const place of places) assert.ok(!existsSync(join(place, 'pwned')), place)
  })

  test('of an ext4 partition come out as they went in', () => {
    const part = partition(2)
    tool('e2fsck', ['-fn', part])
    const out = join(folder, 'dumped')
    execFileSync('mkdir', [out])
    tool('debugfs', ['-R', `rdump /names ${out}`, part])
    tool('debugfs', ['-R', `rdump /folders ${out}`, part])
    for (const [index, name] of extNames().entries()) {
      assert.equal(readFileSync(join(out, 'names', name), 'utf8'), `content ${index}`, JSON.stringify(name))
      assert.equal(readFileSync(join(out, 'folders', name, 'inside'), 'utf8'), `inside ${index}`)
    }
    const count = execFileSync('sh', [
      '-c',
      'cd "$1" && find . -mindepth 1 -print0 | tr -dc "\\0" | wc -c',
      'sh',
      join(out, 'names'),
    ])
    assert.equal(Number(count), extNames().length, 'and nothing else is there')
  })

  test('of a FAT partition come out as they went in', () => {
    const part = partition(1)
    tool('fsck.fat', ['-n', part])
    const listed = tool('mdir', ['-b', '-i', part, '::/'])
    for (const [index, name] of fatNames.entries()) {
      assert.ok(listed.includes(name), `${name} in ${listed}`)
      // `[ ]` are a pattern for mtools; `?` stands for one character.
      const asked = name.replace(/[[\]]/g, '?')
      assert.equal(tool('mtype', ['-i', part, `::/${asked}`]), `fat ${index}`)
    }
  })

  test('are told as one line of JSON, and of text, each', async () => {
    await scratch.write(`overlays/part_2/names/a\nb`, 'changed')
    const { stdout } = await scratch.run(['build', '--dry-run'])
    const lines = stdout.split('\n').filter((line) => /would run .*changed/.test(line))
    assert.equal(lines.length, 1, stdout)
    assert.match(lines[0]!, /overlays\/part_2\/names\/a\\nb" changed/)
  })

  function partition(number: 1 | 2): string {
    const disk = join(folder, 'disk.img')
    if (!existsSync(disk)) {
      const image = join(scratch.project, 'out/sample_fleetsie.img.xz')
      writeFileSync(disk, execFileSync('xz', ['-dc', image], { maxBuffer: 2 ** 30 }))
    }
    const { start, size } = JSON.parse(tool('sfdisk', ['--json', disk])).partitiontable.partitions[number - 1]
    const part = join(folder, `part_${number}.img`)
    tool('dd', [`if=${disk}`, `of=${part}`, 'bs=512', `skip=${start}`, `count=${size}`, 'status=none'])
    return part
  }
})

const pipeline = (code: string): string => `
import { decompress, fetch, install, mount, overlay, pipeline, save, sign } from ${JSON.stringify(`${code}/lib/index.ts`)}
await pipeline({
${sampleTarget}
})
`
