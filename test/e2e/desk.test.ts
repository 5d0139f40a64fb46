/**
 * The desk as root on the Debian image: the commands of `fleetsie_mod` as the document prints them, in its order; edits
 * of every kind through unmount, commit, clone and mount; what is saved is what `build` makes; kill -9 loses nothing.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { appendFile, chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { debianStock } from '../helpers/debian-target.ts'
import { DeskRig, deskCode, insideOf, pipelineOf } from '../helpers/desk.ts'
import { needs, needsRoot } from '../helpers/needs.ts'
import { events } from '../helpers/npm-project.ts'
import { dead } from '../helpers/processes.ts'

const tools = needs('xz', 'debugfs', 'e2fsck', 'git', 'mknod', 'setfattr', 'getfattr', 'mtype')
const stem = 'debian_fleetsie'
const capability = '0x0100000200040000000000000000000000000000'
/** Milliseconds: the target is 1 s for a 2 GB image, on a machine with nothing else to do. */
const patience = 10_000

const show = (...args: string[]): string => execFileSync(args[0]!, args.slice(1), { encoding: 'utf8' }).trim()

describe('the desk, as root', { skip: needsRoot || tools }, () => {
  let rig: DeskRig
  let code: Awaited<ReturnType<typeof deskCode>>
  let stock: Awaited<ReturnType<typeof debianStock>>
  const part = (...names: string[]): string => rig.at('desk', 'part_2', ...names)
  /** What a program leaves that is killed goes with the rig. */
  const killedEnv = (): NodeJS.ProcessEnv => ({ ...rig.env, TMPDIR: rig.folder })

  before(async () => {
    code = await deskCode()
    rig = await DeskRig.make({ code: code.code })
    stock = await debianStock()
    await symlink(stock.file, rig.at('debian.img.xz'))
    await rig.works('xz -dc -T0 debian.img.xz >stock.img', '.')
  })
  after(async () => {
    await rig?.remove()
    await code?.remove()
    await stock?.remove()
  })

  /** Every kind of change, as `change` makes them and overlays/ and every later mount have to show them. */
  async function change(): Promise<void> {
    await rm(part('etc/issue.net'))
    await rm(part('usr/share/doc/base-files'), { recursive: true })
    await appendFile(part('etc/hosts'), '192.0.2.1 desk\n')
    await writeFile(part('etc/desk.conf'), 'made at the desk\n')
    await chmod(part('etc/desk.conf'), 0o640)
    execFileSync('chown', ['1000:1001', part('etc/desk.conf')])
    await chmod(part('usr/bin/more'), 0o4755)
    execFileSync('setfattr', ['-n', 'security.capability', '-v', capability, part('usr/bin/env')])
    execFileSync('mknod', [part('dev/spare'), 'c', '1', '3'])
    await mkdir(part('srv/a folder'))
    await symlink('/etc/desk.conf', part('srv/a folder/link'))
    await writeFile(rig.at('desk', 'part_1', 'desk.txt'), 'on the boot partition\n')
  }

  async function isShown(desk: string): Promise<void> {
    const at = (name: string): string => rig.at(desk, 'part_2', name)
    assert.equal(existsSync(at('etc/issue.net')), false)
    assert.equal(existsSync(at('usr/share/doc/base-files')), false)
    assert.match(await readFile(at('etc/hosts'), 'utf8'), /127\.0\.0\.1[\s\S]*192\.0\.2\.1 desk\n$/)
    assert.equal(await readFile(at('etc/desk.conf'), 'utf8'), 'made at the desk\n')
    const { mode, uid, gid } = statSync(at('etc/desk.conf'))
    assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1000, 1001])
    assert.equal(statSync(at('usr/bin/more')).mode & 0o7777, 0o4755)
    const xattr = ['getfattr', '-e', 'hex', '--only-values', '-n', 'security.capability', at('usr/bin/env')]
    assert.equal(execFileSync(xattr[0]!, xattr.slice(1)).length > 0, true)
    const device = lstatSync(at('dev/spare'))
    assert.deepEqual([device.isCharacterDevice(), device.rdev], [true, (1 << 8) | 3])
    assert.equal(readlinkSync(at('srv/a folder/link')), '/etc/desk.conf')
    assert.equal(await rig.text(desk, 'part_1', 'desk.txt'), 'on the boot partition\n')
  }

  it('has no image before init, and says so', async () => {
    for (const verb of ['mount', 'unmount', 'install', 'save', 'status']) {
      await rig.fails(`fleetsie_mod ${verb}`, 1, /`init` must run first/)
    }
    await rig.fails('fleetsie_mod', 1, /Usage:/)
    await rig.fails('fleetsie_mod init', 1, /missing required argument/)
    await rig.fails('fleetsie_mod nonsense', 1, /unknown command/)
  })

  it('fleetsie_mod init PATH/OSNAME.img.xz', async () => {
    await rig.works(`fleetsie_mod init ${rig.at('debian.img.xz')}`)
    const desk = rig.at('desk')
    assert.equal(readlinkSync(join(desk, '.image')), 'debian.img')
    execFileSync('cmp', [rig.at('stock.img'), join(desk, 'debian.img')])
    assert.equal(show('git', '-C', join(desk, 'my_work'), 'rev-parse', '--is-inside-work-tree'), 'true')
    assert.match(await rig.text('desk/my_work/README.md'), /debian\.img/)
    for (const number of [1, 2]) {
      assert.equal(readlinkSync(join(desk, `merged/part_${number}`)), `../part_${number}`)
      assert.ok(existsSync(join(desk, `.new_${number}`)))
      assert.throws(
        () => execFileSync('touch', [join(desk, `original/part_${number}/x`)], { stdio: 'pipe' }),
        /Read-only/,
      )
    }
    assert.equal(readlinkSync(join(desk, 'bootfs')), 'part_1')
    assert.equal(readlinkSync(join(desk, 'rootfs')), 'part_2')
    assert.equal(show('cat', join(desk, 'part_2/etc/os-release')).includes('Debian'), true)
    assert.ok(existsSync(join(desk, '.mounted')))
  })

  it('refuses to mount twice', async () => {
    await rig.fails('fleetsie_mod mount', 1, /image is already mounted/)
    await rig.fails(`fleetsie_mod init ${rig.at('debian.img.xz')}`, 1, /image is already mounted/)
  })

  it('fleetsie_mod unmount keeps every kind of change, for git', async () => {
    await change()
    await rig.works('fleetsie_mod unmount')
    assert.deepEqual(await rig.mounts(), [])
    assert.equal(existsSync(rig.at('desk/.mounted')), false)
    assert.equal(show('losetup', '-j', rig.at('desk/debian.img')), '')
    const overlay = rig.at('desk/overlays')
    assert.ok(existsSync(join(overlay, 'part_2/etc/.wh.issue.net')))
    const mtree = await rig.text('desk/overlays/part_2.mtree')
    for (const line of [
      /etc\/desk\.conf .*mode=0?640/,
      /dev\/spare .*type=char/,
      /usr\/bin\/env .*xattr\.security\.capability/,
    ]) {
      assert.match(mtree, line)
    }
    const list = show('git', '-C', overlay, 'status', '--porcelain', '-uall')
    assert.match(list, /part_2\/etc\/desk\.conf/)
    await rig.fails('fleetsie_mod unmount', 1, /image is not mounted/)
    await rig.fails('fleetsie_mod save', 1, /image is not mounted/)
    await rig.fails('fleetsie_mod install', 1, /image is not mounted/)
  })

  it('fleetsie_mod mount shows them again, at once', async () => {
    await rig.works('git add -A && git commit -qm changes', 'desk/my_work')
    const started = performance.now()
    await rig.works('fleetsie_mod mount')
    assert.ok(performance.now() - started < patience)
    await isShown('desk')
    assert.equal(show('git', '-C', rig.at('desk/overlays'), 'status', '--porcelain'), '')
  })

  it('fleetsie_mod install --help lists the systems; another than the image holds is refused', async () => {
    assert.match(await rig.works('fleetsie_mod install --help'), /"Raspberry Pi OS", "Debian", "Ubuntu"/)
    assert.match(await rig.works('fleetsie_mod install help'), /"Raspberry Pi OS"/)
    await rig.fails('fleetsie_mod install Windows', 1, /"Raspberry Pi OS", "Debian", "Ubuntu"/)
    await rig.fails('fleetsie_mod install', 1, /not Raspberry Pi OS[\s\S]*fleetsie_mod install Debian/)
  })

  it('fleetsie_mod install Debian', async () => {
    await rig.works('fleetsie_mod install Debian')
    assert.equal(statSync(part('usr/bin/fleetsie_provision')).mode & 0o7777, 0o755)
    const wants = part('etc/systemd/system/multi-user.target.wants/fleetsie-provision.service')
    assert.equal(readlinkSync(wants), '/usr/lib/systemd/system/fleetsie-provision.service')
    assert.ok(existsSync(rig.at('desk/overlays/part_2/usr/bin/fleetsie_provision')))
    assert.match(await rig.works('fleetsie_mod install Debian'), /nothing changed/)
  })

  it('does not save while a file is open for writing, and names who has it', async () => {
    const writer = spawn('sh', ['-c', 'exec 3>>etc/desk.conf; echo ready; read line'], {
      cwd: part(),
      stdio: 'pipe',
    })
    await new Promise((resolve) => writer.stdout.once('data', resolve))
    await rig.fails('fleetsie_mod save', 2, new RegExp(`${writer.pid} .*part_2/etc/desk\\.conf`))
    await rig.fails('fleetsie_mod unmount', 2, new RegExp(`${writer.pid} `))
    writer.stdin.end()
    await dead(writer.pid!)
  })

  it('fleetsie_mod save', async () => {
    await rig.works('fleetsie_mod save')
    const names = readdirSync(rig.at('desk')).filter((name) => name.startsWith(stem))
    assert.ok(names.includes(`${stem}.img.xz`) && names.includes(`${stem}.img.bmap`), names.join())
    await rig.works(`sha256sum --check --strict --quiet ${stem}.sha256sums`)
    await rig.works(`fleetsie verify ${stem}.img.xz`)
    await rig.works(`xz -dc -T0 ${stem}.img.xz >../saved.img`)
    const inside = insideOf(rig.at('saved.img'))
    assert.match(inside('stat /etc/desk.conf'), /Mode: +0640[\s\S]*User: +1000 +Group: +1001/)
    assert.match(inside('stat /dev/spare'), /Type: character special/)
    assert.match(inside('stat /usr/bin/fleetsie_provision'), /Mode: +0755/)
    assert.match(inside('ea_list /usr/bin/env'), /security\.capability/)
    assert.doesNotMatch(inside('ls /etc'), /issue\.net/)
  })

  it('saves nothing anew when nothing changed', async () => {
    const stages = await rig.stages('fleetsie_mod save')
    assert.deepEqual(
      stages.filter((told) => !/ (cached|unchanged)$/.test(told)),
      [],
    )
    assert.match(
      await rig.works('fleetsie_mod status'),
      new RegExp(`${stem}\\.img\\.xz was saved .* all changes`),
    )
  })

  it('fleetsie_mod save NEW_IMAGE_NAME, which is never the stock image or another file', async () => {
    await rig.works('fleetsie_mod save my-device.img.xz')
    assert.equal(show('cmp', rig.at('desk/my-device.img.xz'), rig.at(`desk/${stem}.img.xz`)), '')
    await rig.works('sha256sum --check --strict --quiet my-device.sha256sums')
    await rig.fails(`fleetsie_mod save ${rig.at('debian.img.xz')}`, 2, /`save` did not make it/)
    await rig.fails('fleetsie_mod save a.zip', 1, /saved as \.img\.xz/)
  })

  it('is saved as `build` makes it of the same overlays, whether that installs fleetsie once more or not', async () => {
    await rig.works('git add -A && git commit -qm installed', 'desk/my_work')
    await rig.works(`git clone -q ${rig.at('desk/overlays')} project/overlays`, '.')
    await pipelineOf(rig, code.code, rig.at('debian.img.xz'))
    for (const target of ['overlays', 'both']) {
      const stages = await rig.stages(`fleetsie build ${target}`, 'project')
      if (target === 'overlays') assert.ok(stages.includes('save cached'), stages.join())
      await rig.works(`cmp ${target}/${stem}.img.xz ../desk/${stem}.img.xz`, 'project')
    }
  })

  it('a clone of overlays/ shows it at another desk, and an older commit the older state', async () => {
    await mkdir(rig.at('second'))
    await rig.works(`git clone -q ${rig.at('desk/overlays')} second/overlays`, '.')
    await rig.works(`fleetsie_mod init ${rig.at('debian.img.xz')}`, 'second')
    await isShown('second')
    assert.ok(existsSync(rig.at('second/part_2/usr/bin/fleetsie_provision')))
    assert.equal(show('git', '-C', rig.at('second/overlays'), 'status', '--porcelain'), '')
    await rig.works('fleetsie_mod unmount', 'second')
    await rig.works('git checkout -q HEAD~1', 'second/overlays')
    await rig.works('fleetsie_mod mount', 'second')
    await isShown('second')
    assert.equal(existsSync(rig.at('second/part_2/usr/bin/fleetsie_provision')), false)
    await rig.works('fleetsie_mod unmount', 'second')
  })

  it('status shows what differs and what git does not have', async () => {
    await writeFile(part('etc/later.conf'), 'later\n')
    const text = await rig.works('fleetsie_mod status')
    assert.match(text, /debian\.img .* mounted/)
    assert.match(text, /part_2 +rootfs +ext4 .* added, \d+ changed, \d+ removed/)
    assert.match(text, /part_2\/etc\/later\.conf/)
    assert.match(text, /before the last change/)
  })

  it('finds what kill -9 left of a mount, and loses nothing', async () => {
    await rig.works('fleetsie_mod unmount')
    const [command, args] = rig.command('exec fleetsie_mod mount')
    const child = spawn(command, args, { cwd: rig.at('desk'), env: killedEnv(), stdio: 'ignore' })
    while (!existsSync(rig.at('desk/.mounted'))) {
      assert.equal(child.exitCode, null, 'it has ended')
      await new Promise((resolve) => setImmediate(resolve))
    }
    child.kill('SIGKILL')
    await dead(child.pid!)
    assert.match(await rig.works('fleetsie_mod mount'), /half mounted: cleaned up/)
    await isShown('desk')
  })

  it('finds what is no longer mounted, and loses nothing', async () => {
    await writeFile(part('etc/later.conf'), 'the last edit\n')
    for (const mount of (await rig.mounts()).slice(-1)) execFileSync('umount', [mount])
    const told = await rig.works('fleetsie_mod mount')
    assert.match(told, /half mounted: cleaned up/)
    assert.equal(await readFile(part('etc/later.conf'), 'utf8'), 'the last edit\n')
    await isShown('desk')
  })

  it('a save that is killed leaves no half image, and the next one works', async () => {
    await writeFile(part('etc/later.conf'), 'saved at last\n')
    const before = show('sha256sum', rig.at(`desk/${stem}.img.xz`))
    const [command, args] = rig.command('exec fleetsie_mod save --json')
    const child = spawn(command, args, {
      cwd: rig.at('desk'),
      env: killedEnv(),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    await new Promise<void>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (events(said.slice(0, said.lastIndexOf('\n') + 1)).some((event) => event.type === 'start'))
          resolve()
      })
      child.once('close', () => resolve())
    })
    child.kill('SIGKILL')
    await dead(child.pid!)
    assert.equal(show('sha256sum', rig.at(`desk/${stem}.img.xz`)), before)
    await rig.works('fleetsie_mod save')
    await rig.works(`fleetsie verify ${stem}.img.xz`)
    assert.notEqual(show('sha256sum', rig.at(`desk/${stem}.img.xz`)), before)
    assert.match(await rig.works('fleetsie_mod status'), /all changes/)
  })

  it('is unmounted in the end, with nothing left', async () => {
    await rig.works('fleetsie_mod unmount')
    assert.deepEqual(await rig.mounts(), [])
    execFileSync('cmp', [rig.at('stock.img'), rig.at('desk/debian.img')])
  })
})
