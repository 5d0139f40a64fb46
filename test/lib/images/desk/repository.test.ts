import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import { deskChanges } from '../../../../lib/images/desk/changes.ts'
import { setUpRepository } from '../../../../lib/images/desk/repository.ts'
import { takeIn } from '../../../../lib/images/desk/take-in.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { git } from '../../../helpers/overlays.ts'
import { DeskRig, stock } from './merged-rig.ts'

async function scratch(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'fleetsie-repository-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const notes: string[] = []
  const place = {
    folder,
    run: runner({ home: folder }),
    caller: undefined,
    note: (line: string) => void notes.push(line),
  }
  return { folder, notes, place }
}
const show = (cwd: string, ...args: string[]) => execFileSync('git', args, { cwd, encoding: 'utf8' })

test('overlays/ becomes a repository that explains itself, and my_work leads to it', async (t) => {
  const { folder, notes, place } = await scratch(t)
  await setUpRepository(place, 'os.img')
  assert.match(await readFile(join(folder, 'overlays/README.md'), 'utf8'), /^# Changes to os\.img\n/)
  assert.equal(await readlink(join(folder, 'my_work')), 'overlays')
  assert.equal(show(join(folder, 'my_work'), 'rev-parse', '--show-prefix').trim(), '')
  assert.equal(notes.length, 1)
  await writeFile(join(folder, 'overlays/README.md'), 'mine')
  await setUpRepository(place, 'other.img')
  assert.equal(await readFile(join(folder, 'overlays/README.md'), 'utf8'), 'mine', 'what is there stays')
  assert.equal(notes.length, 1)
})

test('no setting of git changes the ends of lines in what goes into an image', async (t) => {
  const { folder, place } = await scratch(t)
  await setUpRepository(place, 'os.img')
  const overlays = join(folder, 'overlays')
  await mkdir(join(overlays, 'part_2/etc'), { recursive: true })
  await writeFile(join(overlays, 'part_2/etc/dos'), 'a\r\nb\r\n')
  git(overlays, '-c', 'core.autocrlf=input', 'add', '-A')
  git(overlays, 'commit', '-qm', 'dos')
  git(folder, 'clone', '-q', '-c', 'core.autocrlf=true', 'overlays', 'clone')
  assert.equal(await readFile(join(folder, 'clone/part_2/etc/dos'), 'utf8'), 'a\r\nb\r\n')
})

test('in a project of the user overlays/ belongs to it, and what the desk has beside it does not', async (t) => {
  const { folder, notes, place } = await scratch(t)
  git(folder, 'init', '-q')
  await mkdir(join(folder, 'a b/desk'), { recursive: true })
  await writeFile(join(folder, '.gitignore'), '*.img\n')
  const desk = { ...place, folder: join(folder, 'a b/desk') }
  await setUpRepository(desk, 'os[1].img')
  await setUpRepository(desk, 'os[1].img')
  assert.deepEqual(notes, [])
  for (const name of ['os[1].img', '.image', '.mounted', 'keep']) await writeFile(join(desk.folder, name), '')
  for (const name of ['original', 'merged', '.desk', '.new_2', 'part_2', 'part_12']) {
    await mkdir(join(desk.folder, name))
    await writeFile(join(desk.folder, name, 'x'), '')
  }
  assert.deepEqual(show(folder, 'ls-files', '--others', '--exclude-standard').split('\n').sort(), [
    '',
    '.gitignore',
    'a b/desk/keep',
    'a b/desk/overlays/.gitattributes',
    'a b/desk/overlays/README.md',
  ])
  const exclude = await readFile(join(folder, '.git/info/exclude'), 'utf8')
  assert.equal(exclude.split('\n').filter((line) => line.includes('.image')).length, 1, 'each once')
})

test('under sudo all that is made belongs to the caller, the objects of git as well', {
  skip: needsRoot || needs('setpriv'),
}, async (t) => {
  const { folder, place } = await scratch(t)
  const caller = { uid: 12_345, gid: 12_345 }
  execFileSync('chown', ['12345:12345', folder])
  await setUpRepository({ ...place, caller }, 'os.img')
  for (const name of [
    'overlays',
    'overlays/.git',
    'overlays/.git/HEAD',
    'overlays/README.md',
    'overlays/.gitattributes',
  ]) {
    assert.equal((await stat(join(folder, name))).uid, 12_345, name)
  }
})

const skip = needsRoot || needs('getfattr', 'mke2fs')

test("a desk's changes are counted in files, and git says what it lacks", { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  await rig.mount()
  assert.deepEqual(await deskChanges(rig.desk, [rig.part]), {
    parts: [{ number: 2, added: 0, changed: 0, removed: 0, bytes: 0 }],
    git: { untracked: [], modified: [], deleted: [], ignored: [] },
  })
  rig.sh(
    'echo 12345 > etc/hostname; echo 1 > etc/new; rm etc/conf.d/one; rm -r d; mkdir d; echo 1 > d/z; mkdir e; mknod e/n c 1 3; chmod 600 etc/shadow; rm lib; ln -s x lib',
  )
  await takeIn(rig.desk, rig.part)
  const changes = await deskChanges(rig.desk, [rig.part])
  assert.deepEqual(changes.parts, [{ number: 2, added: 3, changed: 3, removed: 4, bytes: 6 + 2 + 2 + 7 }])
  assert.ok(changes.git?.untracked.includes('overlays/part_2/etc/.wh.conf.d') === false)
  assert.ok(changes.git?.untracked.includes('overlays/part_2/etc/conf.d/.wh.one'))
  rig.commit()
  rig.sh('echo 2 > etc/new; rm d/z')
  await rig.unmount()
  await appendFile(rig.at('.gitignore'), '*.o\n')
  await writeFile(rig.at('overlays/part_2/x.o'), '')
  const { git: lacks } = await deskChanges(rig.desk, [rig.part])
  assert.deepEqual(lacks, {
    untracked: [],
    modified: ['overlays/part_2/etc/new'],
    deleted: ['overlays/part_2/d/z'],
    ignored: ['overlays/part_2/x.o'],
  })
})

test('what a .gitignore of the image would leave out is tracked all the same', { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  await rig.mount()
  rig.sh('echo l > var/log/x.log; echo m > etc/m')
  await takeIn(rig.desk, rig.part)
  rig.sh(
    "echo '*.log' > .gitignore; mkdir k; echo '*' > k/.gitignore; echo 1 > k/1; echo '* text=auto' > .gitattributes",
  )
  await rig.unmount()
  assert.match(rig.notes.join('\n'), /git ignores part_2\/k\/\.gitignore.*part_2\/var\/log\/x\.log/)
  assert.match(rig.warnings.join('\n'), /git itself obeys part_2\/\.gitattributes/)
  git(rig.folder, 'add', 'overlays')
  git(rig.folder, 'commit', '-qm', 'all')
  const tracked = show(rig.folder, 'ls-tree', '-r', '--name-only', 'HEAD').split('\n')
  for (const name of ['.gitignore', 'k/.gitignore', 'k/1', 'var/log/x.log', 'etc/m']) {
    assert.ok(tracked.includes(`overlays/part_2/${name}`), name)
  }
  assert.equal(show(rig.folder, 'show', 'HEAD:overlays/part_2/var/log/x.log'), 'l\n')
})
