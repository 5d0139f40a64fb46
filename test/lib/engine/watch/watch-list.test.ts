import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Derivation, Source } from '../../../../lib/engine/stage.ts'
import { Arrangement } from '../../../../lib/engine/watch/arrangement.ts'
import { watchList } from '../../../../lib/engine/watch/watch-list.ts'
import { temporaryFolder } from '../../../helpers/store.ts'

function project(t: TestContext, folders: readonly string[], files: readonly string[] = []): string {
  const cwd = temporaryFolder(t)
  for (const name of folders) mkdirSync(join(cwd, name), { recursive: true })
  for (const name of files) writeFileSync(join(cwd, name), '')
  return cwd
}

const derivation = (options: Record<string, unknown>, kind: 'build' | 'deploy' = 'build'): Derivation =>
  ({ stage: { kind }, options }) as unknown as Derivation
const file = (from: string): Source => ({ path: 'x', type: 'file', mode: 0o644, sha256: '', from })
const nothing = { derivations: [], sources: [], folders: [], files: [] }

test('options of build stages name folders and files, missing ones too; those of deploy stages and URLs do not', (t) => {
  const cwd = project(t, ['mine', 'out'], ['stock.img.xz'])
  const list = watchList({
    ...nothing,
    cwd,
    derivations: [
      derivation({ from: 'mine', files: { '/etc/motd': 'not/yet' }, url: 'https://example.org/a', n: 1 }),
      derivation({ file: 'stock.img.xz' }),
      derivation({ out: 'out' }, 'deploy'),
    ],
  })
  assert.deepEqual(list, {
    trees: [join(cwd, 'mine')],
    files: [join(cwd, 'not/yet'), join(cwd, 'stock.img.xz')],
    locks: [],
  })
})

test('a folder outside of the project counts when something in it was read', (t) => {
  const cwd = project(t, [])
  const other = project(t, ['data'])
  const derivations = [derivation({ from: join(other, 'data') })]
  assert.deepEqual(watchList({ ...nothing, cwd, derivations }).trees, [])
  const sources = [file(join(other, 'data/a'))]
  assert.deepEqual(watchList({ ...nothing, cwd, derivations, sources }).trees, [join(other, 'data')])
})

test('what git tracks is decided by its index and its ignore files, in a work tree of its own as well', (t) => {
  const cwd = project(t, ['overlays/part_2'])
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], { cwd })
  git('init', '-q')
  git('commit', '-q', '--allow-empty', '-m', 'first')
  const list = watchList({ ...nothing, cwd, folders: [join(cwd, 'overlays')] })
  assert.deepEqual(list.files, [
    join(cwd, '.gitignore'),
    join(cwd, '.git/index'),
    join(cwd, '.git/info/exclude'),
  ])
  assert.deepEqual(list.locks, [join(cwd, '.git/index.lock')])

  const tree = join(temporaryFolder(t), 'tree')
  git('worktree', 'add', '-q', tree)
  const own = watchList({ ...nothing, cwd: tree, folders: [join(tree, 'overlays')] })
  assert.ok(own.files.includes(join(cwd, '.git/worktrees/tree/index')), own.files.join(' '))
})

test('an arrangement concerns what is listed, by the folders that are there', (t) => {
  const cwd = project(t, ['overlays/part_2', 'store/objects', 'real'], ['pipeline.ts'])
  symlinkSync('real', join(cwd, 'linked'))
  const under = (name: string): string => join(cwd, name)
  const list = {
    trees: [under('overlays'), under('linked'), under('units')],
    files: [under('pipeline.ts'), under('no/such/file')],
    locks: [],
  }
  const made = new Arrangement(list, [under('overlays/part_2/store')])
  const cases: [string, boolean][] = [
    ['overlays', true],
    ['overlays/part_2/etc/motd', true],
    ['overlays/part_2/node_modules/a/b', false],
    ['overlays/.git/index', false],
    ['overlays/part_2/store/objects', false],
    ['real/a', true],
    ['linked', true],
    ['units', true],
    ['units/a', false],
    ['pipeline.ts', true],
    ['other.ts', false],
    ['no', true],
    ['no/such', false],
  ]
  for (const [name, concerns] of cases) assert.equal(made.concerns(under(name)), concerns, name)
  const before = made.identity
  assert.equal(new Arrangement(list, [under('overlays/part_2/store')]).identity, before)
  mkdirSync(under('units'))
  assert.notEqual(new Arrangement(list, [under('overlays/part_2/store')]).identity, before)
})
