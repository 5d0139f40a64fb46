/**
 * The desk without root on the Debian image: FUSE shows it, owners and devices are declared in part_2.mtree, and what is
 * saved has them. Run by root, the test becomes a user without any right first.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { appendFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { debianStock } from '../helpers/debian-target.ts'
import { DeskRig, deskCode, insideOf, pipelineOf } from '../helpers/desk.ts'
import { needs } from '../helpers/needs.ts'
import { dead } from '../helpers/processes.ts'

const tools = needs('xz', 'debugfs', 'git', 'setpriv', 'fuse2fs', 'fuse-overlayfs', 'fusermount3')
const nobody = 65_534
const stem = 'debian_fleetsie'

describe('the desk, without root', { skip: tools }, () => {
  let rig: DeskRig
  let code: Awaited<ReturnType<typeof deskCode>>
  let stock: Awaited<ReturnType<typeof debianStock>>

  before(async () => {
    code = await deskCode()
    rig = await DeskRig.make({ code: code.code, ...(process.getuid?.() === 0 ? { user: nobody } : {}) })
    stock = await debianStock()
    await symlink(stock.file, rig.at('debian.img.xz'))
  })
  after(async () => {
    await rig?.remove()
    await code?.remove()
    await stock?.remove()
  })

  it('fleetsie_mod init, which says what is declared instead of done', async () => {
    const told = await rig.works(`fleetsie_mod init ${rig.at('debian.img.xz')}`)
    assert.match(told, /by FUSE, without root/)
    assert.match(told, /declare owners and devices in part_N\.mtree/)
    assert.match(await rig.works('cat part_2/etc/os-release original/part_2/etc/os-release'), /Debian/)
    const file = await rig.type('touch original/part_2/x')
    assert.match(file.stderr, /Read-only|Permission denied/)
  })

  it('takes edits of files; owners and devices by lines of part_2.mtree', async () => {
    await rig.works(`cd part_2
      rm etc/issue.net
      rm -r usr/share/doc/base-files
      echo '192.0.2.1 desk' >>etc/hosts
      echo 'made at the desk' >etc/desk.conf
      printf '#!/bin/sh\\n' >usr/bin/tool && chmod 755 usr/bin/tool
      mkdir 'srv/a folder' && ln -s /etc/desk.conf 'srv/a folder/link'
      echo 'on the boot partition' >../part_1/desk.txt`)
    const refused = await rig.type('chown 1000 part_2/etc/desk.conf')
    assert.match(refused.stderr, /not permitted/)
    await rig.works('fleetsie_mod install Debian')
    await rig.works('fleetsie_mod unmount')
    assert.deepEqual(await rig.mounts(), [])
    assert.ok(existsSync(rig.at('desk/overlays/part_2/etc/.wh.issue.net')))
    const lines = [
      './etc/desk.conf mode=0640 uid=1000 gid=1001',
      './dev/spare type=char device=native,1,3 mode=0666',
      './usr/bin/env xattr.security.capability=AQAAAgAEAAAAAAAAAAAAAAAAAAA=',
    ]
    const env = rig.at('desk/overlays/part_2/usr/bin/env')
    execFileSync('debugfs', ['-R', `dump /usr/bin/env ${env}`, partition()], { stdio: 'pipe' })
    await appendFile(rig.at('desk/overlays/part_2.mtree'), `${lines.join('\n')}\n`)
    await rig.works('chmod 755 part_2/usr/bin/env; git add -A && git commit -qm changes', 'desk/overlays')
  })

  it('fleetsie_mod mount shows the files again, and keeps what was declared', async () => {
    await rig.works('fleetsie_mod mount')
    await rig.works('grep -q "192.0.2.1 desk" part_2/etc/hosts && test ! -e part_2/etc/issue.net')
    await rig.works('test ! -e part_2/usr/share/doc/base-files && test -x part_2/usr/bin/tool')
    await rig.works('grep -q boot part_1/desk.txt')
    await rig.works('echo more >>part_2/etc/desk.conf')
    await rig.works('fleetsie_mod unmount && fleetsie_mod mount')
    assert.match(
      await rig.text('desk/overlays/part_2.mtree'),
      /desk\.conf .*uid=1000[\s\S]*spare .*type=char/,
    )
    assert.equal(await rig.text('desk/overlays/part_2/etc/desk.conf'), 'made at the desk\nmore\n')
  })

  it('fleetsie_mod save writes owners, devices and xattrs that this user could not make', async () => {
    await rig.works('fleetsie_mod save')
    await rig.works(`xz -dc -T0 ${stem}.img.xz >saved.img`)
    const inside = insideOf(rig.at('desk/saved.img'))
    assert.match(inside('stat /etc/desk.conf'), /Mode: +0640[\s\S]*User: +1000 +Group: +1001/)
    assert.match(inside('stat /dev/spare'), /Type: character special/)
    assert.match(inside('stat /usr/bin/tool'), /Mode: +0755[\s\S]*User: +0 +Group: +0/)
    assert.match(inside('ea_list /usr/bin/env'), /security\.capability/)
    assert.match(inside('stat /usr/bin/fleetsie_provision'), /Mode: +0755[\s\S]*User: +0 +Group: +0/)
    assert.doesNotMatch(inside('ls /etc'), /issue\.net/)
  })

  it('is saved as `build` makes it of the same overlays', async () => {
    await rig.makeFolder('project')
    await rig.works('git -C ../desk/overlays add -A && git -C ../desk/overlays commit -qm more', 'project')
    await rig.works('git clone -q ../desk/overlays overlays', 'project')
    await pipelineOf(rig, code.code, rig.at('debian.img.xz'))
    const stages = await rig.stages('fleetsie build both', 'project')
    assert.ok(stages.includes('save built'), stages.join())
    await rig.works(`cmp both/${stem}.img.xz ../desk/${stem}.img.xz`, 'project')
  })

  it('finds daemons that were killed, and loses nothing', async () => {
    await rig.works('echo last >part_2/etc/last.conf')
    for (const pid of daemons(rig.folder)) {
      process.kill(pid, 'SIGKILL')
      await dead(pid)
    }
    const told = await rig.works('fleetsie_mod status')
    assert.match(told, /half mounted: cleaned up/)
    await rig.works('fleetsie_mod mount')
    assert.equal(await rig.works('cat part_2/etc/last.conf'), 'last\n')
    await rig.works('fleetsie_mod unmount')
    assert.deepEqual(await rig.mounts(), [])
    for (const pid of daemons(rig.folder)) await dead(pid)
  })

  it('leaves files that are all the user’s own', () => {
    const uid = process.getuid?.() === 0 ? nobody : process.getuid?.()
    for (const name of readdirSync(rig.at('desk'))) {
      if (name === '.desk') continue
      assert.equal(statSync(rig.at('desk', name)).uid, uid, name)
    }
  })

  function partition(): string {
    const { partitiontable } = JSON.parse(
      execFileSync('sfdisk', ['--json', rig.at('desk/debian.img')], { encoding: 'utf8' }),
    )
    return `${rig.at('desk/debian.img')}?offset=${partitiontable.partitions[1].start * 512}`
  }
})

/** FUSE daemons that work for a desk below `folder`. */
function daemons(folder: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const [program] = readFileSync(join('/proc', name, 'cmdline'), 'utf8').split('\0')
      const environment = readFileSync(join('/proc', name, 'environ'), 'latin1')
      return /fuse2fs|fuse-overlayfs/.test(program ?? '') && environment.includes(folder)
        ? [Number(name)]
        : []
    } catch {
      return []
    }
  })
}
