import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

const bin = resolve('lib/cli/bin.ts')
const loader = pathToFileURL(resolve('node_modules/tsx/dist/loader.mjs')).href

for (const [name, argv, message] of [
  ['fleetsie_gen', ['hull-1', 'host.invalid', '5'], /^error: "hull-1" cannot be the name of a fleet/],
  [
    'fleetsie_gen',
    ['hull', 'host.invalid', 'sda1', '5'],
    /"sda1" is no number of devices\n {2}try: fleetsie_gen /,
  ],
  ['fleetsie_srv', ['root@'], /^error: "root@": /],
  ['fleetsie_mod', ['init', 'stock.txt'], /stock\.txt/],
] as const) {
  test(`${name} is a command: ${argv.join(' ')}`, () => {
    const cwd = mkdtempSync(join(tmpdir(), 'fleetsie-bin-'))
    try {
      symlinkSync(bin, join(cwd, name))
      const { status, stderr } = spawnSync(process.execPath, ['--import', loader, join(cwd, name), ...argv], {
        cwd,
        encoding: 'utf8',
      })
      assert.equal(status, 1, stderr)
      assert.match(stderr, message)
    } finally {
      rmSync(cwd, { recursive: true })
    }
  })
}

for (const [what, argv] of [
  ['a disk for no time', ['gen', 'hull', 'host.invalid', '--expires', '0d']],
  ['a disk for longer than a life', ['gen', 'hull', 'host.invalid', '--expires', '36501d']],
  ['a lot that is none', ['revoke', 'hull@host.invalid', '--lot', 'zz']],
] as const) {
  test(`${what} is refused before any server is asked`, () => {
    const { status, stderr } = spawnSync(process.execPath, ['--import', loader, bin, ...argv], {
      encoding: 'utf8',
    })
    assert.equal(status, 1)
    assert.match(stderr, /^error: .*(?:It takes 1m to 36500d, or never|"zz" is no lot)/)
  })
}

for (const [verb, argv, message] of [
  ['devices', ['--online'], /^error: which fleet\?/],
  ['revoke', ['no device'], /^error: "no device" cannot be the name of a fleet/],
] as const) {
  test(`${verb} works beside a pipeline.ts that cannot be loaded`, () => {
    const cwd = mkdtempSync(join(tmpdir(), 'fleetsie-bin-'))
    try {
      writeFileSync(join(cwd, 'pipeline.ts'), "import 'nowhere'\n")
      const { status, stderr } = spawnSync(process.execPath, ['--import', loader, bin, verb, ...argv], {
        cwd,
        encoding: 'utf8',
      })
      assert.equal(status, 1)
      assert.match(stderr, message)
    } finally {
      rmSync(cwd, { recursive: true })
    }
  })
}
