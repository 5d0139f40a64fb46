/** `updatesd` on cards that fail, and when it is interrupted: the others are written, and the next call goes on. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, test } from 'node:test'
import { cardProject, honest, skip } from '../helpers/card-project.ts'
import { assertHolds, reports } from '../helpers/cards.ts'
import { MiB, missing } from '../helpers/disks.ts'
import { virtualDisk } from '../helpers/virtual-disk.ts'

describe('updatesd', { skip }, () => {
  const { inFolder, card, updatesd, scratch, raw } = cardProject()

  describe('a card that fails', { skip: missing('nbdkit', 'nbdfuse', 'fusermount3') }, () => {
    test('with read errors: exit 8 names it, the others are written', async (t) => {
      const bad = await virtualDisk(t, { ...honest, pread: 'echo EIO >&2; exit 1', pwrite: 'cat >/dev/null' })
      const good = card('q.img')
      const ended = await updatesd(['--whole', bad.path, good, '-y'])
      assert.equal(ended.code, 8, ended.stdout)
      const failed = ended.events.filter((event) => event.type === 'card-failed')
      assert.deepEqual(
        failed.map((event) => event.card),
        [bad.path],
      )
      assert.equal(ended.events.filter((event) => event.type === 'card').length, 1)
      assertHolds(good, raw())
    })

    test('that holds other bytes than were written: exit 5 with the offset', async (t) => {
      // The bytes from 50 MiB on stay zeros.
      const pwrite = `if [ $4 -ge ${50 * MiB} ]; then cat >/dev/null; else dd of=$f bs=64K oflag=seek_bytes seek=$4 conv=notrunc status=none; fi`
      const bad = await virtualDisk(t, { ...honest, pwrite })
      const ended = await updatesd(['--whole', bad.path, '-y'])
      assert.equal(ended.code, 5, ended.stdout)
      assert.match(ended.stdout, /"message":"[^"]*byte \d+/)
    })
  })

  test('interrupted, it ends with 130 and goes on where it stopped', async (t) => {
    const behaviour = {
      ...honest,
      pwrite: 'sleep 0.05; dd of=$f bs=64K oflag=seek_bytes seek=$4 conv=notrunc status=none',
    }
    const slow = await virtualDisk(t, behaviour)
    const [command, args] = scratch().command(['updatesd', '--json', '--whole', slow.path, '-y'])
    const child = spawn(command, args, {
      cwd: scratch().project,
      env: scratch().env({ XDG_CACHE_HOME: inFolder('cache') }),
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      // Once: a second time it would end at once.
      if (!child.killed && /"phase":"writing"/.test(said)) child.kill('SIGINT')
    })
    const code = await new Promise((resolve) => child.once('close', resolve))
    assert.equal(code, 130, said)
    assert.match(said, /the same command goes on where it stopped/)
    const [report] = reports(await updatesd(['--whole', slow.path, '-y']))
    assertHolds(slow.kept, raw())
    assert.equal(report!.how, 'compared')
  })
})
