import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import type { Item } from '../../../../lib/images/sync/item.ts'
import { probeCommand } from '../../../../lib/images/sync/probe.ts'
import { driverCommand, memberName, planName, planScript } from '../../../../lib/images/sync/script.ts'
import { attributes } from '../../../helpers/layers.ts'
import { needs } from '../../../helpers/needs.ts'

const item = (path: string, type: Item['type'] = 'file'): Item => ({
  path,
  type,
  attributes: attributes(path),
})

function plan(...items: Item[]): string {
  return planScript(
    { removals: [], items },
    new Map(items.map((one, index) => [one, memberName(index)])),
    false,
  )
}

describe('what runs on a device', () => {
  const programs = {
    'the plan': plan(item('etc/a'), item('srv', 'directory')),
    'the driver': driverCommand('/boot', { sudo: false, gnuTar: true, fat: false }),
    'the probe': probeCommand,
  }
  for (const [what, text] of Object.entries(programs)) {
    it(`is POSIX sh that shellcheck passes: ${what}`, { skip: needs('shellcheck') }, () => {
      // The driver sets what the plan reads.
      const body = /^exec sh -c '([^']*)'/.exec(text)?.[1] ?? `M=$1 S=$2\n${text}`
      const { stdout } = spawnSync('shellcheck', ['-s', 'sh', '-e', 'SC1091', '-'], {
        input: body,
        encoding: 'utf8',
      })
      assert.equal(stdout, '')
    })
  }

  for (const how of [
    { sudo: true, gnuTar: true, fat: false },
    { sudo: false, gnuTar: false, fat: true },
  ]) {
    it(`is one line that every login shell takes alike: ${JSON.stringify(how)}`, () => {
      for (const command of [driverCommand('/boot/firmware', how), probeCommand]) {
        const quoted = command.split("'").filter((_, index) => index % 2 === 1)
        assert.ok(quoted.length > 0)
        for (const text of quoted) assert.doesNotMatch(text, /[!\\\n]/)
      }
    })
  }

  it('has the plan behind all that it places', () => assert.ok(memberName(999_999_999) < planName))

  it('tells systemd of changed units, and of nothing else', () => {
    const units = [
      'etc/systemd/system/a.service',
      'usr/lib/systemd/system/a.timer.d/b.conf',
      'lib/systemd/system',
    ]
    for (const path of units) assert.match(plan(item(path)), /^units$/m)
    for (const path of ['etc/systemd/journald.conf', 'home/etc/systemd/system/a', 'etc/systemd/systemx']) {
      assert.doesNotMatch(plan(item(path)), /^units$/m)
    }
  })
})
