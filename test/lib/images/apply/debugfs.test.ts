import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Command, Debugfs, fitsFile, line } from '../../../../lib/images/ext/debugfs.ts'
import { Bench, epoch, failsWith } from './layers.ts'

test('arguments are quoted so that libss reads them back', () => {
  const cases: [Command, string][] = [
    [['rm', './plain-name.txt'], 'rm ./plain-name.txt'],
    [['rm', './two words'], 'rm "./two words"'],
    [['rm', './a"b'], 'rm "./a""b"'],
    [['symlink', './x', ''], 'symlink ./x ""'],
  ]
  for (const [command, expected] of cases) assert.equal(line(command), expected)
})

test('a command with a line break or longer than the buffer of debugfs needs -R', () => {
  assert.equal(fitsFile(['rm', 'a\nb']), false)
  assert.equal(fitsFile(['rm', 'a\rb']), false)
  assert.equal(fitsFile(['symlink', 'x', '"'.repeat(4095)]), false)
  assert.equal(fitsFile(['symlink', 'x', 'y'.repeat(4095)]), true)
})

const failures: [string, Command, RegExp][] = [
  ['a write of a file that is not there', ['write', 'nowhere', './x'], /No such file[\s\S]*"nowhere"/],
  ['a write over a name that is there', ['write', 'source', './lost+found'], /exist/],
  ['a removal of a name that is not there', ['rm', './nowhere'], /rm/],
  ['an unknown field', ['sif', '<2>', 'nonsense', '1'], /nonsense/],
  ['a link to nothing', ['ln', './nowhere', './x'], /nowhere/],
  ['an unknown command', ['nonsense', 'x'], /./],
]
for (const [what, command, pattern] of failures) {
  test(`${what} fails, though debugfs may exit 0`, async (t) => {
    const bench = await (await Bench.open(t)).ext()
    await writeFile(join(bench.dir, 'source'), 'x')
    const debugfs = new Debugfs(bench.run, await bench.device(), bench.dir, epoch)
    await assert.rejects(debugfs.edit([['mkdir', './before'], command]), failsWith('E_STAGE', pattern))
    await assert.rejects(debugfs.request(command), failsWith('E_STAGE', pattern))
  })
}

test('a filesystem that fills up in the middle is called too small', async (t) => {
  const bench = await (await Bench.open(t)).ext()
  await writeFile(join(bench.dir, 'source'), Buffer.alloc(40 * 2 ** 20, 1))
  const debugfs = new Debugfs(bench.run, await bench.device(), bench.dir, epoch)
  await assert.rejects(
    debugfs.edit([['write', 'source', './x']]),
    failsWith('E_TOO_SMALL', /became full/, /grow/),
  )
})
