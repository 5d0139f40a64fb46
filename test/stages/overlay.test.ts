import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { OverlayOptions } from '../../lib/images/overlay/sources.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { attributes, build, git, project, second, sourcesOf, write } from '../helpers/overlays.ts'

const skip = needs('git')

describe('overlay: which files', { skip }, () => {
  it('one layer for each partition, or for the one that is asked for', async () => {
    const cwd = await project({
      'overlays/part_1/config.txt': 'x',
      'overlays/part_2/etc/motd': 'y',
      'overlays/README': '',
    })
    assert.deepEqual([...(await build(cwd)).tars.keys()], ['part_1.tar', 'part_2.tar'])
    assert.deepEqual([...(await build(cwd, { partition: 2 })).tars.keys()], ['part_2.tar'])
  })

  it('the sources have names without the host, whatever the folder is called from', async () => {
    const cwd = await project({
      'my files/overlays/part_2/etc/motd': 'y',
      'my files/overlays/part_2.mtree': '',
    })
    const from = join(cwd, 'my files/overlays')
    const names = async (options: OverlayOptions, at = cwd) =>
      (await sourcesOf(at, options)).sources.map(({ path }) => path)
    assert.deepEqual(
      await names({ from: 'my files/overlays/' }),
      ['my files/overlays/part_2/etc/motd', 'my files/overlays/part_2.mtree'].sort(),
    )
    assert.deepEqual(await names({ from }), ['overlays/part_2.mtree', 'overlays/part_2/etc/motd'])
    assert.deepEqual(
      (await build(cwd, { from })).tars,
      (await build(cwd, { from: 'my files/overlays' })).tars,
    )
  })

  it('what git tracks as it is now, without what is deleted or ignored', async () => {
    const cwd = await project({
      'overlays/part_2/a': 'old',
      'overlays/part_2/b': '',
      'overlays/part_2/d/c': '',
      '.gitignore': '*.swp\n',
    })
    await writeFile(join(cwd, 'overlays/part_2/a'), 'new')
    await rm(join(cwd, 'overlays/part_2/b'))
    await writeFile(join(cwd, 'overlays/part_2/x.swp'), '')
    const { text, notes } = await build(cwd)
    assert.deepEqual(
      [...text],
      [
        ['a', 'new'],
        ['d/c', ''],
      ],
    )
    assert.deepEqual(notes, [])
  })

  it('a tracked folder that has become a link is the link', async () => {
    const cwd = await project({ 'overlays/part_2/d/c': 'x', 'elsewhere/c': 'secret' })
    await rm(join(cwd, 'overlays/part_2/d'), { recursive: true })
    await symlink('../../elsewhere', join(cwd, 'overlays/part_2/d'))
    const entries = await second(cwd)
    assert.deepEqual(
      [...entries.values()],
      [{ ...attributes('d', 0o777), type: 'symlink', target: '../../elsewhere' }],
    )
  })

  it('untracked files count, and one note names them', async () => {
    const cwd = await project({ 'overlays/part_2/a': '' })
    await write(cwd, { 'overlays/part_2/new "1"\n': '', 'overlays/part_1/z': '' })
    const one = await build(cwd)
    assert.deepEqual(one.notes, [
      '2 files are used but not tracked by git yet: "part_1/z", "part_2/new \\"1\\"\\n"',
    ])
    await write(cwd, Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`overlays/part_2/n${i}`, ''])))
    assert.match((await build(cwd)).notes[0]!, /^11 files are used .*"part_2\/n3" and 6 more$/)
    git(cwd, 'add', '.')
    const tracked = await build(cwd)
    assert.deepEqual(tracked.notes, [])
  })

  it('adding a file to git changes nothing but the note', async () => {
    const cwd = await project({ 'overlays/part_2/a': '' })
    await write(cwd, { 'overlays/part_2/b': 'x' })
    const before = await build(cwd)
    git(cwd, 'add', '.')
    assert.deepEqual((await build(cwd)).tars, before.tars)
  })

  it('outside a work tree every file counts, and empty folders', async () => {
    const cwd = await project(
      { 'overlays/part_2/a': '', 'overlays/part_2/.gitignore': 'a\n' },
      { repository: false },
    )
    await mkdir(join(cwd, 'overlays/part_2/srv/empty'), { recursive: true })
    const { entries, notes } = await build(cwd)
    assert.deepEqual([...entries.get('part_2.tar')!.keys()], ['.gitignore', 'a', 'srv/empty'])
    assert.deepEqual(entries.get('part_2.tar')!.get('srv/empty'), {
      ...attributes('srv/empty', 0o755),
      type: 'directory',
    })
    assert.deepEqual(notes, [])
  })

  it('when git ignores all of it, a note says so', async () => {
    const cwd = await project({ '.gitignore': 'overlays\n' })
    await write(cwd, { 'overlays/part_2/a': '' })
    const { tars, notes } = await build(cwd)
    assert.equal(tars.size, 0)
    assert.match(notes[0]!, /git ignores everything/)
  })

  it('a repository of another owner is read, and its fsmonitor program is not run', {
    skip: needsRoot,
  }, async () => {
    const cwd = await project({ 'overlays/part_2/a': 'x' })
    git(cwd, 'config', 'core.fsmonitor', `touch '${cwd}/was-run'; false`)
    execFileSync('chown', ['-R', '12345:12345', cwd])
    assert.deepEqual([...(await second(cwd)).keys()], ['a'])
    await assert.rejects(readFile(join(cwd, 'was-run')), { code: 'ENOENT' })
  })

  it('two names of one file are two files', async () => {
    const cwd = await project({ 'overlays/part_2/a': 'x' })
    await link(join(cwd, 'overlays/part_2/a'), join(cwd, 'overlays/part_2/b'))
    assert.deepEqual(
      [...(await second(cwd)).values()].map(({ type }) => type),
      ['file', 'file'],
    )
  })
})
