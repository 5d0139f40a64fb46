import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { deviceLine, diskLine, ensureDeviceLine, revokedLine } from '../../../lib/fleet/authorized-keys.ts'
import { newKey } from '../../helpers/claims.ts'
import { parseKeyLine } from '../../helpers/key-lines.ts'
import { needs } from '../../helpers/needs.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-keys-'))
after(() => rmSync(folder, { recursive: true }))
const key = newKey()
const lot = '0123456789abcdef'
const device = { fleet: 'birds', hostname: 'birds-1', port: 20_001, key }

describe('a line of authorized_keys', () => {
  it('of a disk lets it claim and nothing else', () => {
    assert.equal(
      diskLine({ fleet: 'birds', lot, key, server: 'fleet.example' }),
      `command="/home/fleetsie/fleetsie_auth birds ${lot}",restrict ${key} fleetsie_birds@fleet.example`,
    )
  })

  it('of a device gives it its own port and the port of zabbix', () => {
    assert.equal(
      deviceLine(device),
      'command="/home/fleetsie/fleetsie_login birds birds-1 20001",restrict,port-forwarding,' +
        `permitlisten="localhost:20001",permitopen="localhost:10051" ${key} birds-1`,
    )
  })
})

describe('the line of a device', () => {
  const path = join(folder, 'authorized_keys')
  const lines = (): string[] => readFileSync(path, 'latin1').split('\n')
  const whole = deviceLine(device)
  const other = deviceLine({ ...device, hostname: 'birds-2', port: 20_002 })

  const refused: [title: string, before: string][] = [
    ['was revoked', `${revokedLine([7, 1])}\n${other}\n`],
    ['was revoked, among thousands', `${revokedLine(Array.from({ length: 5000 }, (_, i) => 5000 - i))}\n`],
    ['was revoked, with all others, its line without an end', revokedLine([12, 1])],
  ]
  for (const [title, before] of refused) {
    it(`is not made for a device that ${title}`, () => {
      for (const fresh of [true, false]) {
        writeFileSync(path, before)
        assert.equal(ensureDeviceLine(path, device, fresh), false)
        assert.equal(readFileSync(path, 'latin1'), before)
      }
    })
  }

  it('is not made for a device that has another key by now', () => {
    const before = `${deviceLine({ ...device, key: newKey() })}\n`
    writeFileSync(path, before)
    assert.equal(ensureDeviceLine(path, device, false), false)
    assert.equal(readFileSync(path, 'latin1'), before)
  })

  const cases: [title: string, before: string, after: string][] = [
    [
      'is made where others were revoked',
      `${revokedLine([2, 11])}\n${other}\n`,
      `${revokedLine([2, 11])}\n${other}\n${whole}\n`,
    ],
    ['is appended', `${other}\n`, `${other}\n${whole}\n`],
    ['is appended to an empty file', '', `${whole}\n`],
    ['is appended after a line without an end', other, `${other}\n${whole}\n`],
    ['is appended after the zeros that a power cut left', `${other}\n\0\0`, `${other}\n\0\0\n${whole}\n`],
    ['is there once', `${whole}\n${other}\n`, `${whole}\n${other}\n`],
    ['is there without its comment', whole.slice(0, -3), whole.slice(0, -3)],
    [
      'is not the line of another port',
      `${whole.replaceAll('20001', '20003')}\n`,
      `${whole.replaceAll('20001', '20003')}\n${whole}\n`,
    ],
  ]
  for (const [title, before, expected] of cases) {
    it(title, () => {
      writeFileSync(path, before)
      ensureDeviceLine(path, device, false)
      assert.equal(readFileSync(path, 'latin1'), expected)
      ensureDeviceLine(path, device, false)
      assert.equal(readFileSync(path, 'latin1'), expected)
    })
  }

  it('is in a new file that only its user reads', () => {
    const fresh = join(folder, 'fresh')
    ensureDeviceLine(fresh, device, true)
    assert.equal(readFileSync(fresh, 'utf8'), `${whole}\n`)
    assert.equal(statSync(fresh).mode & 0o777, 0o600)
  })

  it('is there just once however much of it was torn off, and only once in a form that sshd takes', () => {
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(path, `${other}\n${whole.slice(0, length)}`)
      ensureDeviceLine(path, device, false)
      const good = lines().filter((line) => parseKeyLine(line)?.key === key && line.includes('20001'))
      assert.equal(good.length, 1, `${length} bytes`)
      assert.equal(lines()[0], other)
    }
  })

  it('that was torn is a key for nobody', { skip: needs('ssh-keygen') }, () => {
    const torn = Array.from({ length: whole.length - 9 }, (_, length) => whole.slice(0, length)).join('\n')
    const listed = spawnSync('ssh-keygen', ['-l', '-f', '-'], { input: `${torn}\n`, encoding: 'utf8' })
    assert.doesNotMatch(listed.stdout, /ED25519/)
  })

  it('leaves the file as it was when the disk is full', { skip: process.platform !== 'linux' }, () => {
    // The limit of a file's size stands for a full disk: the first bytes go in, the rest does not.
    writeFileSync(path, `${other}\n`)
    const call = `
      process.on('SIGXFSZ', () => {})
      const { ensureDeviceLine } = await import('./lib/fleet/authorized-keys.ts')
      try { ensureDeviceLine(${JSON.stringify(path)}, ${JSON.stringify(device)}, false) } catch (error) { process.stdout.write(error.code) }`
    const script = 'ulimit -f 1; exec "$0" --import tsx --input-type=module -e "$1"'
    writeFileSync(path, `${other}\n`.repeat(3).padStart(900, '#'))
    const before = readFileSync(path, 'utf8')
    const ran = spawnSync('bash', ['-c', script, process.execPath, call], { encoding: 'utf8' })
    assert.equal(ran.stdout, 'EFBIG', ran.stderr)
    assert.equal(readFileSync(path, 'utf8'), before)
  })
})
