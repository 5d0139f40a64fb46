import assert from 'node:assert/strict'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { deskState } from '../../../../lib/images/desk/state.ts'
import { missing, tool } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'
import { dead } from '../../../helpers/processes.ts'
import { asNobody, desks, driver, nobody, sha256, type TestDesk } from './rig.ts'

const skip = needsRoot || missing('fuse2fs', 'fuse-overlayfs', 'fusermount3', 'setpriv', 'mke2fs', 'mcopy')

/** A shell of the user who mounted: nobody else, not even root, may enter a FUSE mount. */
const shell = (desk: TestDesk, script: string): string =>
  tool(asNobody[0]!, [...asNobody.slice(1), 'env', '-C', desk.folder, 'sh', '-euc', script])

/** Daemons that serve this desk: their arguments are relative, the token is what tells them. */
function daemons(token: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      return readFileSync(`/proc/${name}/environ`, 'latin1').includes(`FLEETSIE_DESK=${token}\0`)
        ? [Number(name)]
        : []
    } catch {
      return []
    }
  })
}

const tokenOf = (desk: TestDesk): string => JSON.parse(desk.read('.mounted')).token

describe('a desk that a user mounts without root', { skip }, () => {
  const { withDesk } = desks(nobody)
  const done = async (desk: TestDesk, verb: 'attach' | 'detach'): Promise<string[]> => {
    const { error, notes } = await desk.drive(verb, asNobody)
    assert.equal(error, undefined, JSON.stringify(error))
    return notes
  }

  test('edits are seen in their own shell, land in .new_N, and the image is never written', () =>
    withDesk(async (desk) => {
      const stock = sha256(desk.disk)
      const notes = await done(desk, 'attach')
      assert.match(notes.at(-1)!, /without root.*part_N\.mtree/)
      assert.equal((await desk.drive('state', asNobody)).result, 'mounted')
      assert.equal((await deskState(desk.folder)).is, 'mounted')
      const token = tokenOf(desk)
      assert.equal(daemons(token).length, 6)
      for (const number of [1, 2, 5]) {
        const script = `
          cat original/part_${number}/etc/hostname part_${number}/etc/shadow
          ! touch original/part_${number}/x 2>/dev/null
          echo edited >part_${number}/etc/hostname
          rm -r part_${number}/etc/deep
          ! test -e merged/part_${number}/etc/deep
          touch part_${number}/new`
        assert.equal(shell(desk, script), 'stock\nroot:*:\n')
        assert.equal(desk.read(`.new_${number}/etc/hostname`), 'edited\n')
        assert.equal(lstatSync(desk.path(`.new_${number}/new`)).uid, nobody)
      }
      assert.throws(() => shell(desk, 'chown 5 part_2/new 2>/dev/null'))
      assert.throws(() => shell(desk, 'mknod part_2/null c 1 3 2>/dev/null'))
      await done(desk, 'detach')
      assert.deepEqual(desk.mounts(), [])
      for (const pid of daemons(token)) await dead(pid)
      assert.deepEqual(readdirSync(desk.folder), ['.desk', '.new_1', '.new_2', '.new_5', 'os.img'])
      assert.equal(sha256(desk.disk), stock)

      await done(desk, 'attach')
      assert.equal(
        shell(desk, 'cat part_1/etc/hostname part_2/etc/hostname; ls part_5/etc'),
        'edited\nedited\nhostname\nshadow\n',
      )
      await done(desk, 'detach')
    }))

  test('a folder may have any name without a colon', () =>
    withDesk(async (desk) => {
      await done(desk, 'attach')
      assert.equal(shell(desk, 'cat part_1/etc/hostname part_2/etc/hostname'), 'stock\nstock\n')
      assert.equal(desk.mounts().length, 6)
      await done(desk, 'detach')
      assert.deepEqual(desk.mounts(), [])
    }, `a b,c,d\\e\nf'"ü`))

  test('a folder with a colon is refused, for fuse-overlayfs would take its path for two', () =>
    withDesk(async (desk) => {
      const { error } = await desk.drive('attach', asNobody)
      assert.equal(error?.code, 'E_INPUT')
      assert.match(error.message, /colon/)
    }, 'a:b'))

  test('a daemon that was killed makes it stale, and unmounting cleans up', () =>
    withDesk(async (desk) => {
      await done(desk, 'attach')
      const token = tokenOf(desk)
      for (const pid of daemons(token).slice(0, 4)) {
        process.kill(pid, 'SIGKILL')
        await dead(pid)
      }
      assert.equal((await desk.drive('state', asNobody)).result, 'stale')
      assert.equal((await deskState(desk.folder)).is, 'stale', 'for root as well, whom FUSE keeps out')
      await done(desk, 'detach')
      assert.deepEqual(desk.mounts(), [])
      for (const pid of daemons(token)) await dead(pid)
      assert.equal(existsSync(desk.path('.mounted')), false)
    }))

  test('files in use are named, and nothing is unmounted', () =>
    withDesk(async (desk) => {
      await done(desk, 'attach')
      // The shell that asks is the one that holds it.
      const ask = `${process.execPath} --import ${import.meta.resolve('tsx')} ${driver} detach "$PWD" || :`
      const said = shell(desk, `exec 3<part_1/etc/hostname; echo $$; ${ask}`)
      const [pid, answer] = [said.split('\n')[0], JSON.parse(said.slice(said.indexOf('\n') + 1))]
      assert.equal(answer.error.code, 'E_UNSAFE')
      assert.match(answer.error.message, new RegExp(`\\n {2}${pid} .*/part_1/etc/hostname`))
      assert.equal(desk.mounts().length, 6)
      await done(desk, 'detach')
    }))

  test('another user cannot unmount it, root can', () =>
    withDesk(async (desk) => {
      await done(desk, 'attach')
      const token = tokenOf(desk)
      // The lock is the folder owner's: this one may not even try.
      const { error } = await desk.drive('detach', [
        'setpriv',
        '--reuid=65533',
        '--regid=65533',
        '--clear-groups',
      ])
      assert.equal(error?.code, 'E_RIGHTS')
      assert.equal(desk.mounts().length, 6)
      await desk.detach()
      assert.deepEqual(desk.mounts(), [])
      for (const pid of daemons(token)) await dead(pid)
    }))

  test('what root has mounted a user is told to unmount with sudo', () =>
    withDesk(async (desk) => {
      await desk.attach()
      const { error } = await desk.drive('detach', asNobody)
      assert.equal(error?.code, 'E_RIGHTS')
      assert.match(error.hint!, /sudo/)
      await desk.detach()
    }))
})
