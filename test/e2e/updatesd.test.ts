/** Cards from a pipeline's image: whole ones and partitions, by reading and by receipt, by the verb, the stage and sudo. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readPartitionTable } from '../../lib/images/partitions.ts'
import { cardProject, cardSize, skip } from '../helpers/card-project.ts'
import {
  assertHolds,
  assertHoldsMapped,
  blankCard,
  differingPieces,
  loopDevice,
  reports,
} from '../helpers/cards.ts'
import { MiB, missing, tool } from '../helpers/disks.ts'
import { needsRoot } from '../helpers/needs.ts'

describe('updatesd', { skip }, () => {
  const { inFolder, card, updatesd, edit, built, scratch, raw } = cardProject()

  test('--whole writes a file, and again writes nothing', async () => {
    const path = card('a.img')
    const [first] = reports(await updatesd(['--whole', path, '-y']))
    assertHolds(path, raw())
    assert.equal(first!.how, 'compared')
    assert.ok(first!.bytesWritten > 0 && first!.bytesVerified >= first!.bytesWritten)
    const [again] = reports(await updatesd(['--whole', path, '-y']))
    assert.deepEqual([again!.how, again!.bytesWritten], ['receipt', 0])
    assert.ok(again!.sampled > 0, 'what a receipt says is not believed blindly')
    const [full] = reports(await updatesd(['--whole', path, '-y', '--full']))
    assert.equal(full!.how, 'full')
    assert.ok(full!.bytesWritten > first!.bytesWritten)
    assertHolds(path, raw())
  })

  test('after an edit of one file at most twice the changed pieces of 64 KiB are written, by receipt and by reading', async () => {
    const [one, two] = [card('b.img'), card('c.img')]
    reports(await updatesd(['--whole', one, two, '-y']))
    await edit('second\n')
    const now = await built('second.img')
    const changed = differingPieces(raw(), now) * 65536
    assert.ok(changed > 0)
    // As if somebody had been there.
    execFileSync('touch', [two])
    const told = reports(await updatesd(['--whole', one, two, '-y']))
    assert.deepEqual(
      told.map(({ how }) => how),
      ['receipt', 'compared'],
    )
    for (const { bytesWritten } of told)
      assert.ok(bytesWritten > 0 && bytesWritten <= 2 * changed, `${bytesWritten} of ${changed}`)
    for (const path of [one, two]) assertHolds(path, now)
    await edit('first\n')
  })

  test('partitions go to devices of their own, as documented', {
    skip: needsRoot || missing('losetup'),
  }, async (t) => {
    const path = card('d.img')
    execFileSync('cp', ['--sparse=always', raw(), path])
    const { partitions } = await readPartitionTable(raw())
    const devices = partitions.map((partition) => loopDevice((undo) => t.after(undo), path, partition))
    for (const device of devices)
      execFileSync('dd', ['if=/dev/urandom', `of=${device}`, 'bs=1M', 'count=3', 'status=none'])
    // Names without /dev/.
    const [report] = reports(await updatesd([...devices.map((device) => device.slice(5)), '-y']))
    assert.ok(report!.bytesWritten > 0)
    for (const [index, { offset, size }] of partitions.entries()) {
      assertHoldsMapped(devices[index]!, raw(), inFolder('first.bmap'), { offset, size })
    }
    const [again] = reports(await updatesd([...devices, '-y']))
    assert.equal(again!.bytesWritten, 0)
  })

  test('--image takes a file, with the block map beside it, and looks at no pipeline', async () => {
    const path = card('e.img')
    const [report] = reports(await updatesd(['--whole', path, '--image', inFolder('first.img'), '-y']))
    assertHolds(path, raw())
    assert.ok(report!.bytesSaved > 0, 'zeros that are there need no write')
  })

  test('--dry-run says how much, and writes nothing', async () => {
    const path = card('f.img')
    const ended = await updatesd(['--whole', path, '-n'])
    assert.equal(ended.code, 0, ended.stdout)
    const told = ended.events.findLast((event) => event.type === 'answer')!
    assert.ok((told.data as { atMost: number }).atMost > 0)
    assert.equal(statSync(path).blocks, 0)
  })

  test('--files updates a card in its place, and keeps what the device has made there', async () => {
    const path = card('k.img')
    reports(await updatesd(['--whole', path, '-y']))
    const root = `${path}?offset=${(await readPartitionTable(raw())).partitions[1]!.offset}`
    const machineId = '0123456789abcdef0123456789abcdef\n'
    await scratch().write('id', machineId)
    tool('debugfs', ['-w', '-R', 'rm /etc/machine-id', root])
    tool('debugfs', ['-w', '-R', `write ${scratch().project}/id /etc/machine-id`, root])
    const asked = await updatesd(['--whole', path, '-n'])
    assert.match(asked.stdout, /machine-id 01234567….*THIS IDENTITY WILL BE LOST/)
    await edit('third\n')
    const [report] = reports(await updatesd(['--whole', path, '-y', '--files', '--set', 'hostname=pi-9']))
    await edit('first\n')
    assert.equal(report!.how, 'files')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/motd', root]), 'third\n')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/hostname', root]), 'pi-9\n')
    assert.equal(tool('debugfs', ['-R', 'cat /etc/machine-id', root]), machineId)
    tool('e2fsck', ['-fn', root])
  })

  test('each card gets its row of a CSV, and no secret is told', async () => {
    const paths = [card('m.img'), card('n.img')]
    await scratch().write('devices.csv', 'hostname\npi-1\npi-2\n')
    const ended = await updatesd(['--whole', ...paths, '-y', '--csv', join(scratch().project, 'devices.csv')])
    reports(ended)
    const { offset } = (await readPartitionTable(raw())).partitions[1]!
    const names = paths.map((path) =>
      tool('debugfs', ['-R', 'cat /etc/hostname', `${path}?offset=${offset}`]),
    )
    assert.deepEqual(names, ['pi-1\n', 'pi-2\n'])
    // The device's values are no reason to write the rest again.
    const [again] = reports(await updatesd(['--whole', paths[0]!, '-y', '--set', 'hostname=pi-1']))
    assert.equal(again!.how, 'receipt')
    assert.ok(again!.bytesWritten < 8 * MiB)
  })

  test('the stage writes its card with each build, and only what differs', async () => {
    const path = blankCard(join(scratch().project, 'deployed.img'), cardSize)
    const env = { XDG_CACHE_HOME: inFolder('cache') }
    const build = async (): Promise<string> => {
      const ended = await scratch().run(['build', 'card', '--json'], { env })
      assert.equal(ended.code, 0, ended.stdout + ended.stderr)
      return ended.events
        .flatMap((event) => (event.type === 'note' && event.stage === 'updatesd' ? [event.message] : []))
        .join()
    }
    await build()
    assertHolds(path, raw())
    assert.match(await build(), /deployed.img: 0 bytes written \(receipt\)/)
    execFileSync('dd', [
      'if=/dev/zero',
      `of=${path}`,
      'bs=1M',
      'seek=1',
      'count=60',
      'conv=notrunc',
      'status=none',
    ])
    assert.match(await build(), /\(compared\)/)
    assertHolds(path, raw())
  })

  test('after `build` as a user, sudo rebuilds what was edited and leaves nothing of root behind', {
    skip: needsRoot || missing('setpriv'),
  }, async () => {
    const user = 65534
    const own = mkdtempSync(inFolder('user-'))
    execFileSync('cp', ['-a', `${scratch().project}/.`, own])
    chownSync(own, user, user)
    execFileSync('chown', ['-R', `${user}:${user}`, own])
    const how = (by: string[]) => {
      const [command, args] = scratch().command([], { by })
      const env = {
        ...scratch().env(),
        FLEETSIE_STORE: join(own, 'store'),
        XDG_CACHE_HOME: join(own, 'cache'),
        HOME: own,
      }
      return (verb: string[]) => spawnSync(command, [...args, ...verb], { cwd: own, env, encoding: 'utf8' })
    }
    const asUser = how(['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups'])
    const built = asUser(['build', 'image', '--json'])
    assert.equal(built.status, 0, built.stdout + built.stderr)
    const path = card('s.img')
    // What sudo sets.
    const sudo = how(['env', `SUDO_UID=${user}`, `SUDO_GID=${user}`])
    const ended = sudo(['updatesd', '--json', '--whole', path, '-y'])
    assert.equal(ended.status, 0, ended.stdout + ended.stderr)
    assert.doesNotMatch(ended.stdout, /"action":"built"/)
    assertHolds(path, raw())
    const ofOthers = (): string => tool('find', [own, '-not', '-user', 'nobody'])
    assert.equal(ofOthers(), '', 'all belongs to the user')
    writeFileSync(join(own, 'overlays/part_2/etc/motd'), 'edited by the user\n')
    const rebuilt = sudo(['updatesd', '--json', '--whole', path, '-y'])
    assert.equal(rebuilt.status, 0, rebuilt.stdout + rebuilt.stderr)
    assert.match(rebuilt.stdout, /"action":"built"/)
    assert.equal(ofOthers(), '', 'what root builds belongs to the user as well')
    for (const verb of [
      ['build', 'image'],
      ['gc', '--max-size', '1'],
      ['build', 'image'],
    ]) {
      const { status, stdout, stderr } = asUser(verb)
      assert.equal(status, 0, stdout + stderr)
    }
  })
})
