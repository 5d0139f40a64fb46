import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { deviceLine } from '../../../../lib/fleet/authorized-keys.ts'
import type { ClaimPlaces } from '../../../../lib/fleet/claim/serve.ts'
import { makeOtp } from '../../../../lib/fleet/names.ts'
import { ClaimFleet, hwid, loginKey, newKey, ourForm } from '../../../helpers/claims.ts'
import { needs } from '../../../helpers/needs.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-serve-'))
after(() => rmSync(folder, { recursive: true }))
let made = 0
const key = newKey()
const twoLines = (device: number, otp: string): string => `${hwid(device)}\n${otp}\n`

describe('a claim on the server', () => {
  let fleet: ClaimFleet
  beforeEach(() => {
    fleet = new ClaimFleet(join(folder, String(made++)), 3, { serverKeys: true })
  })
  const otp = (id: number): string => fleet.otps[id - 1]!
  const lineOf = (id: number, ofKey: string): string =>
    deviceLine({ fleet: 'birds', hostname: `birds-${id}`, port: 20_000 + id, key: ofKey })

  it('in our form is answered with ten lines, the seventh empty', () => {
    assert.equal(
      fleet.ask(ourForm(1, otp(1), key)),
      `Ok\n\n\nbirds-1\nfleetsie_birds\n20001\n${key}\n\n${loginKey}\n\n\n`,
    )
    assert.deepEqual(fleet.keyLines(), [lineOf(1, key)])
    assert.deepEqual(fleet.unclaimed(), [2, 3])
  })

  it('in two lines is answered with a key whose newlines are commas', {
    skip: needs('ssh-keygen'),
  }, () => {
    const lines = fleet.ask(twoLines(1, otp(1))).split('\n')
    assert.deepEqual([lines.length, lines[0], lines[3], lines[8]], [12, 'Ok', 'birds-1', loginKey])
    assert.match(lines[7]!, /^-----BEGIN OPENSSH PRIVATE KEY-----,.*,-----END OPENSSH PRIVATE KEY-----,$/)
    const file = join(folder, 'key')
    writeFileSync(file, lines[7]!.replaceAll(',', '\n'), { mode: 0o600 })
    const said = spawnSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' })
    assert.equal(said.stdout, `${lines[6]} birds-1\n`, said.stderr)
    assert.deepEqual(fleet.keyLines(), [lineOf(1, lines[6]!)])
  })

  it('that is not granted is answered with one or two lines', () => {
    const first = fleet.ask(twoLines(1, otp(1)))
    const cases: [said: string, answer: string][] = [
      [twoLines(1, otp(1)), first],
      [twoLines(2, otp(1)), 'Try\n2\n'],
      [twoLines(2, makeOtp()), 'Bad\n'],
      [twoLines(1, otp(2)), `Error\nhardware id ${hwid(1)} already registered\n`],
      ['me\nplease\n', 'Error\ninvalid hardware ID\n'],
    ]
    for (const [said, answer] of cases) assert.equal(fleet.ask(said), answer)
    for (const id of [2, 3]) fleet.ask(twoLines(id, otp(id)))
    assert.equal(fleet.ask(twoLines(4, otp(1))), 'Full\n')
  })

  it('whose answer did not arrive gets the same one again, and one line in authorized_keys', () => {
    for (const said of [ourForm(1, otp(1), key), twoLines(2, otp(2))]) {
      const lost = fleet.ask(said)
      assert.match(lost, /^Ok\n/)
      for (let times = 1; times < 10; times++) assert.equal(fleet.ask(said), lost)
    }
    assert.equal(fleet.keyLines().length, 2)
    assert.deepEqual(fleet.unclaimed(), [3])
  })

  it('whose line was lost, or torn, has it again after the next', () => {
    const said = ourForm(1, otp(1), key)
    fleet.ask(said)
    for (const torn of ['', lineOf(1, key).slice(0, 150)]) {
      writeFileSync(fleet.places.authorizedKeys, torn)
      assert.match(fleet.ask(said), /^Ok\n/)
      assert.deepEqual(fleet.keyLines(), [...(torn && [torn]), lineOf(1, key)])
    }
  })

  it('of a device that is revoked at that moment lets nobody in', () => {
    // As the one does who revokes: between the commit and the line of the key.
    fleet.db.exec(`CREATE TRIGGER now AFTER UPDATE OF hwid ON devices WHEN NEW.hwid NOT LIKE 'revoked%'
      BEGIN UPDATE devices SET hwid = 'revoked:1:x', tunnel_port = -id WHERE id = NEW.id; END`)
    assert.equal(fleet.ask(ourForm(1, otp(1), key)), 'Bad\n')
    assert.deepEqual(fleet.keyLines(), [])
  })

  it('does not need provisioning.sqlite', () => {
    writeFileSync(fleet.places.provisioning, 'rubbish')
    assert.match(fleet.ask(ourForm(1, otp(1), key)), /^Ok\n/)
  })

  it('that the server cannot note says so, and changes nothing', () => {
    writeFileSync(join(folder, 'none'), 'x'.repeat(5000))
    const unwritable: [title: string, places: Partial<ClaimPlaces>][] = [
      ['a key file that is a folder', { authorizedKeys: folder }],
      ['a database that is none', { fleet: join(folder, 'none') }],
      ['no database', { fleet: join(folder, 'missing') }],
    ]
    const good = { ...fleet.places }
    for (const [title, places] of unwritable) {
      Object.assign(fleet.places, places)
      const answer = fleet.ask(ourForm(1, otp(1), key))
      assert.match(answer, /^Error\ntry again later: the server could not take this claim \(E\w+\)\n$/, title)
      Object.assign(fleet.places, good)
    }
    assert.deepEqual(fleet.keyLines(), [])
    assert.match(fleet.ask(ourForm(1, otp(1), key)), /^Ok\n/)
    assert.deepEqual(fleet.keyLines(), [lineOf(1, key)])
  })

  it('of an older database waits for gen', () => {
    fleet.db.pragma('user_version = 0')
    assert.match(fleet.ask(ourForm(1, otp(1), key)), /^Error\ntry again later: .*\(E_UNSUPPORTED\)\n$/)
  })

  it('never has more lines than its form, whatever a database holds', () => {
    fleet.db.run(`UPDATE devices SET device_public_key = ? WHERE id = 1`, 'a\nOk\r\nb%s')
    const lines = fleet.ask(ourForm(1, otp(1), key)).split('\n')
    assert.deepEqual([lines.length, lines[8]], [12, 'a,Ok,b%s'])
  })

  it('with a trick in any field harms nothing', () => {
    const tricks = [
      "' OR '1'='1",
      '"; DROP TABLE devices; --',
      '$(touch /tmp/x)',
      '`id`',
      '%s%n',
      '\0',
      '../../x',
      '\u202e',
      'x'.repeat(5000),
    ]
    const ours = ourForm(1, otp(1), key)
    for (const trick of tricks) {
      for (const said of [
        `${trick}\n${otp(1)}\n`,
        `${hwid(1)}\n${trick}\n`,
        ours.replace(hwid(1), () => trick),
        ours.replace(otp(1), () => trick),
        ours.replace(key, () => trick),
        ours.replace('otp', () => trick),
      ]) {
        assert.match(fleet.ask(said), /^(Bad|Error\n[ -~]+)\n$/, JSON.stringify(said))
      }
    }
    assert.equal(fleet.db.get<{ n: number }>('SELECT count(*) AS n FROM devices WHERE hwid IS NULL')?.n, 3)
    assert.deepEqual(fleet.keyLines(), [])
  })
})

describe("the server's log", () => {
  it('says who asked and what the answer was, without any secret', () => {
    const fleet = new ClaimFleet(join(folder, String(made++)), 2)
    fleet.lot('0123456789abcdef', [1])
    const told = (said: string, lot?: string): string => fleet.serve(said, lot).audit
    const otp = fleet.otps[0]!
    const wrong = makeOtp()
    const lines = [
      told(ourForm(1, otp, key), '0123456789abcdef'),
      told(ourForm(1, otp, key)),
      told(ourForm(2, wrong, key)),
      told(ourForm(2, otp, key)),
      told('\u001b[31m\nx\n'),
    ]
    assert.deepEqual(lines, [
      `fleet=birds lot=0123456789abcdef hwid=${hwid(1)} ip=192.0.2.7 answer=Ok birds-1`,
      `fleet=birds lot=- hwid=${hwid(1)} ip=192.0.2.7 answer=Ok birds-1 again`,
      `fleet=birds lot=- hwid=${hwid(2)} ip=192.0.2.7 answer=Bad`,
      `fleet=birds lot=- hwid=${hwid(2)} ip=192.0.2.7 answer=Try 2`,
      'fleet=birds lot=- hwid=- ip=192.0.2.7 answer=Error invalid hardware ID',
    ])
  })
})
