/** What was changed in overlays/ by hand or by git, at the desk, or in both; and what is left after a crash. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { FleetsieError } from '../../../../lib/errors.ts'
import { layOut } from '../../../../lib/images/desk/lay-out.ts'
import { takeIn } from '../../../../lib/images/desk/take-in.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'
import { git } from '../../../helpers/overlays.ts'
import { DeskRig, sameTrees, stock } from './merged-rig.ts'

const skip = needsRoot || needs('getfattr', 'mke2fs')
const text = (rig: DeskRig, ...names: string[]) => readFile(rig.at(...names), 'utf8')
const changed = (rig: DeskRig) =>
  execFileSync('git', ['status', '--porcelain', '-uall'], { cwd: rig.folder, encoding: 'utf8' })

/** A desk whose first work is committed, mounted. */
async function begun(t: TestContext): Promise<DeskRig> {
  const rig = await DeskRig.open(t, stock)
  await rig.mount()
  rig.sh('echo 1 > etc/mine; echo 1 > etc/yours; chmod 600 etc/mine; rm etc/conf.d/one; mkdir srv')
  await rig.unmount()
  rig.commit()
  await rig.mount()
  return rig
}

test('an edit by hand stays when the desk does not know of it, and the next mount shows it', {
  skip,
}, async (t) => {
  const rig = await begun(t)
  await writeFile(rig.at('overlays/part_2/etc/yours'), 'by hand')
  await writeFile(rig.at('overlays/part_2/etc/added'), 'by hand too')
  rig.sh('echo 2 > etc/mine')
  await rig.unmount()
  assert.equal(await text(rig, 'overlays/part_2/etc/yours'), 'by hand')
  assert.equal(await text(rig, 'overlays/part_2/etc/mine'), '2\n')
  await rig.mount()
  assert.equal(rig.sh('cat etc/yours etc/added etc/mine'), 'by handby hand too2\n')
  assert.deepEqual(rig.warnings, [])
})

test('an edit by hand stays when the desk laid the file out a moment before its baseline', {
  skip,
}, async (t) => {
  const rig = await begun(t)
  const file = rig.at('.desk/baseline_2.json')
  // As if all of it was made in the tick in which the baseline was: its times say nothing then.
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), at: 0 }))
  await writeFile(rig.at('overlays/part_2/etc/yours'), 'by hand')
  const lines = await text(rig, 'overlays/part_2.mtree')
  await writeFile(rig.at('overlays/part_2.mtree'), lines.replace('mode=0600', 'mode=0640'))
  rig.sh('echo 2 > etc/mine')
  await rig.unmount()
  assert.deepEqual(rig.warnings, [])
  assert.equal(await text(rig, 'overlays/part_2/etc/yours'), 'by hand')
  assert.equal(await text(rig, 'overlays/part_2/etc/mine'), '2\n')
})

test('of what both have changed the desk keeps its name, and nothing is lost', { skip }, async (t) => {
  const rig = await begun(t)
  await writeFile(rig.at('overlays/part_2/etc/yours'), 'by hand')
  await writeFile(
    rig.at('overlays/part_2.mtree'),
    (await text(rig, 'overlays/part_2.mtree')).replace('mode=0600', 'mode=0640'),
  )
  rig.sh('echo desk > etc/yours; chmod 644 etc/mine')
  await rig.unmount()
  assert.equal(await text(rig, 'overlays/part_2/etc/yours'), 'desk\n')
  assert.equal(rig.warnings.length, 2, rig.warnings.join('\n'))
  const [, kept] = /other one is (\S+)/.exec(rig.warnings.find((line) => line.includes('yours'))!)!
  assert.equal(await text(rig, kept!), 'by hand')
  const [, lines] = /other one is (\S+)/.exec(rig.warnings.find((line) => line.includes('mtree'))!)!
  assert.match(await text(rig, lines!), /mine mode=0640/)
  assert.doesNotMatch(await text(rig, 'overlays/part_2.mtree'), /mine/)
})

test('what the desk has removed goes aside when it was edited by hand', { skip }, async (t) => {
  const rig = await begun(t)
  await writeFile(rig.at('overlays/part_2/etc/yours'), 'by hand')
  rig.sh('rm -r etc; echo e > etc')
  await rig.unmount()
  const [, kept] = /other one is (\S+)/.exec(rig.warnings[0]!)!
  assert.equal(await text(rig, kept!), 'by hand')
  assert.equal(await text(rig, 'overlays/part_2/etc'), 'e\n')
})

test('an older commit is what the next mount shows', { skip }, async (t) => {
  const rig = await begun(t)
  const older = await rig.merged()
  rig.sh(
    'echo 2 > etc/mine; rm etc/yours; mknod etc/dev c 1 3; rm -r d; mkdir d; chmod 700 srv; chmod 0644 etc/mine; touch etc/conf.d/one',
  )
  await rig.unmount()
  rig.commit()
  const newer = await rig.built()
  git(rig.folder, 'checkout', '-q', 'HEAD~1')
  await rig.mount()
  sameTrees(await rig.merged(), older)
  await rig.unmount()
  assert.equal(changed(rig), '')
  git(rig.folder, 'checkout', '-q', 'HEAD@{1}')
  await rig.mount()
  sameTrees(await rig.merged(), newer)
  await rig.detach()
})

test('after a crash the next mount takes in what was not saved, and begins with it', { skip }, async (t) => {
  const rig = await begun(t)
  rig.sh('echo unsaved > etc/unsaved; rm etc/yours')
  const merged = await rig.merged()
  await rig.detach()
  await rig.mount()
  sameTrees(await rig.merged(), merged)
  assert.equal(await text(rig, 'overlays/part_2/etc/unsaved'), 'unsaved\n')
  await assert.rejects(lstat(rig.at('overlays/part_2/etc/yours')))
})

test('ended at any program it runs, taking in and laying out begin again and come to the same', {
  skip,
}, async (t) => {
  const rig = await begun(t)
  rig.sh(
    'echo 2 > etc/mine; chown 5 etc/yours; rm -r d; mkdir -p d/e; echo n > d/n; rm etc/conf.d/two; mkfifo etc/f; echo x > .gitignore; echo x > x',
  )
  const merged = await rig.merged()
  await rig.detach()
  for (const work of [takeIn, layOut]) {
    for (let ended = true, after = 0; ended; after++) {
      let calls = 0
      const run: typeof rig.desk.run = async (...call) => {
        if (calls++ >= after) throw new FleetsieError('E_INTERRUPTED', 'ended')
        return await rig.desk.run(...call)
      }
      ended = await work({ ...rig.desk, run }, rig.part).then(
        () => false,
        (error) => {
          assert.equal(error.code, 'E_INTERRUPTED', String(error))
          return true
        },
      )
    }
    sameTrees(await rig.built(), merged, work.name)
    // As if nothing of it had been done: all of it is there already.
    if (work === takeIn) await rm(rig.at('.desk'), { recursive: true })
  }
  assert.deepEqual(
    rig.warnings.filter((line) => line.includes('both')),
    [],
  )
  await rig.mount()
  sameTrees(await rig.merged(), merged, 'mounted')
})

test('what is not changed costs no program, and changes no file of overlays/', { skip }, async (t) => {
  const rig = await begun(t)
  rig.sh('cat etc/mine etc/hostname; ls -R . > /dev/null')
  // What was laid out within a tick of the clock is read once more: that is not what is asked here.
  await setTimeout(30)
  await rig.unmount()
  const commands: string[] = []
  const run: typeof rig.desk.run = (command, ...rest) => {
    commands.push(command)
    return rig.desk.run(command, ...rest)
  }
  await takeIn({ ...rig.desk, run }, rig.part)
  assert.deepEqual(commands, [])
  assert.equal(changed(rig), '')
})

test('what was touched, or changed and changed back, is no change', { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  await rig.mount()
  rig.sh('touch etc/hostname; echo x > etc/conf.d/one; chmod 600 usr/bin/tool; mkdir n; rm -rf var/log')
  await takeIn(rig.desk, rig.part)
  assert.match(changed(rig), /one/)
  rig.sh(
    'echo one > etc/conf.d/one; chmod 4755 usr/bin/tool; rmdir n; mkdir var/log; echo log > var/log/syslog',
  )
  await rig.unmount()
  assert.equal(changed(rig), '?? overlays/part_2/var/.wh.log\n?? overlays/part_2/var/log/syslog\n')
})

test('lines of part_N.mtree stay as they were written but for those that change', { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  const before = `# who may do what
./etc/a   uid=5 mode=u=rw,go=r  # the first

# of the second
./etc/z mode=0600
./etc/zz mode=0600 time=12.5
`
  await mkdir(rig.at('overlays/part_2/etc'), { recursive: true })
  for (const name of ['a', 'z', 'zz']) await writeFile(rig.at('overlays/part_2/etc', name), name)
  await writeFile(rig.at('overlays/part_2.mtree'), before)
  await rig.mount()
  assert.equal(rig.sh('stat -c %u:%a etc/a etc/z'), '5:644\n0:600\n')
  rig.sh('echo more >> etc/a; chmod 640 etc/zz; mkdir -m 700 etc/new; chmod 755 home/pi')
  await rig.unmount()
  const after = before
    .replace('# the first\n', '# the first\n./etc/new type=dir mode=0700\n')
    .replace('zz mode=0600', 'zz mode=0640')
  assert.equal(await text(rig, 'overlays/part_2.mtree'), `${after}./home/pi type=dir uid=1000 gid=1000\n`)
})

test('names that overlays/ cannot hold are refused when all else is taken in, and stay where they are', {
  skip,
}, async (t) => {
  const rig = await begun(t)
  rig.sh(
    'echo w > etc/.wh.me; echo 2 > etc/mine; mkdir -p srv/x/.git; echo g > srv/x/.git/HEAD; echo f > srv/x/f',
  )
  const fails = {
    code: 'E_INPUT',
    message: /"part_2\/etc\/\.wh\.me" cannot be taken into overlays\/.*rename it/,
  }
  await assert.rejects(takeIn(rig.desk, rig.part), fails)
  assert.equal(await text(rig, 'overlays/part_2/etc/mine'), '2\n')
  assert.match(rig.warnings.join('\n'), /part_2\/srv\/x\/\.git is not taken into overlays/)
  await rig.detach()
  await assert.rejects(layOut(rig.desk, rig.part), fails)
  await rig.attach()
  rig.sh('mv etc/.wh.me etc/me')
  await rig.unmount()
  await rig.mount()
  assert.equal(
    rig.sh('cat etc/me srv/x/f srv/x/.git/HEAD'),
    'w\nf\ng\n',
    'what git cannot hold is kept in .new_2',
  )
})

test('a private key is taken in, and a warning says how a build may have it', { skip }, async (t) => {
  const rig = await begun(t)
  rig.sh(`umask 077; printf -- '-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQ==\\n' > etc/key.pem`)
  await rig.unmount()
  assert.match(
    rig.warnings.join('\n'),
    /overlays\/part_2\/etc\/key\.pem holds a private key.*--allow-private-key.*allowPrivateKeys/,
  )
  assert.equal((await lstat(rig.at('overlays/part_2/etc/key.pem'))).mode & 0o777, 0o600)
  await rig.mount()
  assert.match(rig.sh('cat etc/key.pem'), /PRIVATE KEY/)
})

test('no link in overlays/ leads what is written out of it', { skip }, async (t) => {
  const rig = await begun(t)
  const outside = rig.at('outside')
  await mkdir(outside)
  await writeFile(join(outside, 'hostname'), 'of the host')
  await rm(rig.at('overlays/part_2/etc'), { recursive: true })
  await symlink(outside, rig.at('overlays/part_2/etc'))
  rig.sh('echo desk > etc/hostname; echo n > etc/n')
  await rig.unmount()
  assert.deepEqual(await readdir(outside), ['hostname'])
  assert.equal(await text(rig, 'outside/hostname'), 'of the host')
  assert.equal(await text(rig, 'overlays/part_2/etc/hostname'), 'desk\n')
})

test('what lies behind a link of the image is changed where overlays/ has it', { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  await mkdir(rig.at('overlays/part_2/lib/m'), { recursive: true })
  await writeFile(rig.at('overlays/part_2/lib/m/one'), '1')
  await writeFile(rig.at('overlays/part_2/lib/two'), '2')
  await rig.mount()
  assert.equal(rig.sh('cat usr/lib/m/one lib/two; readlink lib'), '12usr/lib\n')
  rig.sh('echo changed > usr/lib/m/one; rm lib/two; echo n > usr/lib/m/new')
  const merged = await rig.merged()
  await rig.unmount()
  assert.equal(await text(rig, 'overlays/part_2/lib/m/one'), 'changed\n')
  await assert.rejects(lstat(rig.at('overlays/part_2/lib/two')))
  sameTrees(await rig.built(), merged)
  await rig.mount()
  sameTrees(await rig.merged(), merged)
})

test('a program is one in overlays/ too, and a link is the same link', { skip }, async (t) => {
  const rig = await begun(t)
  rig.sh('echo p > usr/bin/p; chmod 755 usr/bin/p; ln -s "a  b" etc/l')
  await rig.unmount()
  assert.equal((await lstat(rig.at('overlays/part_2/usr/bin/p'))).mode & 0o777, 0o755)
  assert.equal(await readlink(rig.at('overlays/part_2/etc/l')), 'a  b')
  await chmod(rig.at('overlays/part_2/usr/bin/p'), 0o644)
  await rig.mount()
  assert.equal(rig.sh('stat -c %a usr/bin/p'), '644\n')
})

test('a second name of a file of the stock is another file from the next mount on', { skip }, async (t) => {
  const rig = await DeskRig.open(t, stock)
  await rig.mount()
  rig.sh('ln var/log/syslog home/second')
  await rig.unmount()
  await rig.mount()
  rig.sh('echo other > home/second')
  assert.equal(rig.sh('cat var/log/syslog'), 'log\n')
})

test('what goes aside belongs to the user behind sudo, who alone may read it', { skip }, async (t) => {
  const rig = await begun(t)
  rig.desk.caller = { uid: 65534, gid: 65534 }
  await writeFile(rig.at('overlays/part_2/etc/yours'), 'by hand')
  await chmod(rig.at('overlays/part_2/etc/yours'), 0o600)
  rig.sh('echo desk > etc/yours')
  await rig.unmount()
  const [, kept] = /other one is (\S+)/.exec(rig.warnings.find((line) => line.includes('yours'))!)!
  const { uid, gid, mode } = await lstat(rig.at(kept!))
  assert.deepEqual([uid, gid, mode & 0o777], [65534, 65534, 0o600])
})

test('overlays/part_2 that became a link is set aside, and nothing is written where it leads', {
  skip,
}, async (t) => {
  const rig = await begun(t)
  await rm(rig.at('overlays/part_2'), { recursive: true })
  await mkdir(rig.at('outside'))
  await symlink('../outside', rig.at('overlays/part_2'))
  rig.sh('echo desk > etc/yours')
  await rig.unmount()
  assert.deepEqual(await readdir(rig.at('outside')), [])
  assert.equal(await text(rig, 'overlays/part_2/etc/yours'), 'desk\n')
  const [, kept] = /other one is (\S+)/.exec(rig.warnings.find((line) => line.includes('part_2 was'))!)!
  assert.equal(await readlink(rig.at(kept!)), '../outside')
})
