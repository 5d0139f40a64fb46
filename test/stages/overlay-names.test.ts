import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { needs, needsRoot } from '../helpers/needs.ts'
import { build, git, project, refused, second, sourcesOf } from '../helpers/overlays.ts'

const skip = needs('git')

describe('overlay: names', { skip }, () => {
  const names = [
    'new\nline',
    '"double"',
    "it's",
    'back\\slash',
    '\\134',
    'a b',
    ' ',
    '-rf',
    'é😀',
    'x'.repeat(255),
    'é'.repeat(127),
    '$(id)',
    '*',
    '[a]',
    '%',
    'tab\t',
    '#',
    '..a',
    '.gitkeep',
    ':(top)x',
  ]
  for (const repository of [true, false]) {
    it(`odd ones work ${repository ? 'in a repository' : 'without git'}`, async () => {
      const files = names.flatMap((name): [string, string][] => [
        [`overlays/part_2/${name}`, name],
        [`overlays/part_2/d/${name}`, ''],
      ])
      const cwd = await project(Object.fromEntries(files), { repository })
      const { text, notes } = await build(cwd)
      for (const name of names) assert.equal(text.get(name), name)
      assert.equal(text.size, 2 * names.length)
      assert.deepEqual(notes, [])
    })
  }

  it('a name that is not UTF-8 is refused', async () => {
    const cwd = await project({ 'overlays/part_2/a': '' })
    await writeFile(Buffer.concat([Buffer.from(`${cwd}/overlays/part_2/`), Buffer.from([0xff])]), '')
    await refused(build(cwd), 'E_INPUT', /not UTF-8/, /convmv/)
  })

  it('a link target that is not UTF-8 is refused', async () => {
    const cwd = await project({ 'overlays/part_2/a': '' })
    await symlink(Buffer.from([0xff]), join(cwd, 'overlays/part_2/l'))
    await refused(build(cwd), 'E_INPUT', /link target .* is not UTF-8/)
  })
})

describe('overlay: removals and links', { skip }, () => {
  it('.wh.NAME removes, .wh..wh..opq empties', async () => {
    const cwd = await project({
      'overlays/part_2/etc/.wh.motd': '',
      'overlays/part_2/var/.wh..wh..opq': '',
      'overlays/part_2/var/a': '',
    })
    const entries = await second(cwd)
    assert.deepEqual([...entries.keys()], ['whiteout etc/motd', 'opaque var', 'var/a'])
  })

  for (const [title, path, content, message] of [
    ['with content', 'etc/.wh.motd', 'x', /no empty file/],
    ['of nothing', 'etc/.wh.', '', /names nothing/],
    ['of `..`', '.wh...', '', /names nothing/],
    ["that is aufs's own", '.wh..wh.plnk', '', /names nothing/],
    ['that is a folder', '.wh.x/a', '', /kept for whiteouts/],
  ] as const) {
    it(`a whiteout ${title} is refused`, async () => {
      const cwd = await project({ [`overlays/part_2/${path}`]: content })
      await refused(build(cwd), 'E_INPUT', message)
    })
  }

  it('links are kept, wherever they lead', async () => {
    const cwd = await project({ 'overlays/part_2/a': '' })
    const targets = ['/etc/passwd', '../../../../etc/shadow', 'a', 'nowhere', 'b c\n"']
    for (const [i, target] of targets.entries()) await symlink(target, join(cwd, `overlays/part_2/l${i}`))
    const entries = await second(cwd)
    for (const [i, target] of targets.entries())
      assert.equal((entries.get(`l${i}`) as { target: string }).target, target)
  })
})

describe('overlay: what is refused', { skip }, () => {
  it('no folder, no partition in it, names that are nearly right', async () => {
    const cwd = await project({ 'overlays/README': '', 'near/part_02/a': '', 'file/part_1': '' })
    await refused(build(cwd, { from: 'none' }), 'E_INPUT', /there is no folder none/, /part_N/)
    await refused(build(cwd), 'E_INPUT', /holds no `part_N`/, /part_2/)
    await refused(build(cwd, { partition: 3 }), 'E_INPUT', /neither part_3 nor part_3.mtree/)
    await refused(build(cwd, { from: 'near' }), 'E_INPUT', /"part_02" names no partition/, /part_1, part_2/)
    await refused(build(cwd, { from: 'file' }), 'E_INPUT', /has to be a folder/)
  })

  it('a partition folder or an mtree file that is a link', async () => {
    const cwd = await project({ 'elsewhere/a': '', 'x.mtree': '', 'overlays/README': '' })
    await symlink('../elsewhere', join(cwd, 'overlays/part_2'))
    await refused(build(cwd), 'E_UNSAFE', /overlays\/part_2 has to be a folder, but is a symlink/)
    await rm(join(cwd, 'overlays/part_2'))
    await symlink('../x.mtree', join(cwd, 'overlays/part_2.mtree'))
    await refused(build(cwd), 'E_UNSAFE', /overlays\/part_2.mtree has to be a file/)
  })

  for (const repository of [true, false]) {
    const where = repository ? 'in a repository' : 'without git'
    it(`fifos, sockets and devices ${where}`, async () => {
      const cwd = await project({ 'overlays/part_2/a': '' }, { repository })
      const fifo = join(cwd, 'overlays/part_2/d')
      await mkdir(fifo)
      execFileSync('mkfifo', [join(fifo, 'pipe')])
      await refused(
        build(cwd),
        'E_INPUT',
        /"part_2\/d\/pipe" is a fifo/,
        /`.\/d\/pipe type=fifo mode=0644` into part_2.mtree/,
      )
      if (needsRoot) return
      await rm(join(fifo, 'pipe'))
      execFileSync('mknod', [join(fifo, 'null'), 'c', '1', '3'])
      await refused(build(cwd), 'E_INPUT', /is a character device/, /type=char .*device=native/)
    })
  }

  it('a fifo that git ignores does not matter', async () => {
    const cwd = await project({ 'overlays/part_2/a': '', '.gitignore': 'pipe*\n' })
    execFileSync('mkfifo', [join(cwd, 'overlays/part_2/pipe "1"\n')])
    assert.deepEqual([...(await second(cwd)).keys()], ['a'])
  })

  it('a submodule, a repository within, a partition folder that is one', async () => {
    const other = await project({ x: '' })
    const cwd = await project({ 'overlays/part_2/a': '' })
    git(cwd, '-c', 'protocol.file.allow=always', 'submodule', 'add', '-q', other, 'overlays/part_2/sub')
    await refused(build(cwd), 'E_INPUT', /"part_2\/sub" is a git submodule/, /copy its files/)
    const nested = await project({ 'overlays/part_2/a': '' })
    git(nested, 'init', '-q', 'overlays/part_2/sub')
    await refused(build(nested), 'E_INPUT', /"part_2\/sub" is a git repository of its own/)
    const whole = await project({ 'overlays/README': '' })
    git(whole, 'init', '-q', 'overlays/part_2')
    await refused(build(whole), 'E_INPUT', /"part_2" is a git repository of its own/)
    const plain = await project({ 'overlays/part_2/sub/.git/config': '' }, { repository: false })
    await refused(build(plain), 'E_INPUT', /"part_2\/sub" is a git repository of its own/)
  })

  it('a file that changed, grew, vanished or became a link after its hash was taken', async () => {
    const cwd = await project({ 'overlays/part_2/a': 'x', 'overlays/part_2.mtree': '' })
    const { sources } = await sourcesOf(cwd, { from: 'overlays' })
    const path = join(cwd, 'overlays/part_2/a')
    const again = (message: RegExp) => refused(build(cwd, {}, sources), 'E_INPUT', message, /build again/)
    await writeFile(path, 'y')
    await again(/"overlays\/part_2\/a" changed while being read/)
    await writeFile(path, 'longer')
    await again(/changed while being read/)
    await rename(path, `${path}2`)
    await symlink('a2', path)
    await again(/changed while being read/)
    await rm(path)
    await again(/changed while being read/)
    await writeFile(path, 'x')
    await writeFile(join(cwd, 'overlays/part_2.mtree'), '# new')
    await again(/"overlays\/part_2.mtree" changed while being read/)
  })
})
