import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { newEd25519Key } from '../../../lib/formats/ed25519.ts'
import { canonicalPublicKey, privateKeyFile, publicKeyLine } from '../../../lib/formats/openssh-key.ts'
import { needs } from '../../helpers/needs.ts'

describe('the private file of an Ed25519 key', { skip: needs('ssh-keygen') }, () => {
  // The padding depends on the comment.
  for (const comment of ['', 'a', 'birds-1', 'fleetsie_birds@fleet.example', 'x'.repeat(200)]) {
    it(`is what ssh-keygen reads, with the comment ${JSON.stringify(comment.slice(0, 30))}`, () => {
      const folder = mkdtempSync(join(tmpdir(), 'fleetsie-key-'))
      try {
        const key = newEd25519Key()
        const line = publicKeyLine(key.publicKey)
        const file = join(folder, 'key')
        writeFileSync(file, privateKeyFile({ ...key, comment, check: 0xfedcba98 }), { mode: 0o600 })
        const said = spawnSync('ssh-keygen', ['-y', '-P', '', '-f', file], { encoding: 'utf8' })
        assert.equal(said.stdout, `${line}${comment && ' '}${comment}\n`, said.stderr)
        const listed = spawnSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' })
        assert.match(listed.stdout, /^256 SHA256:\S{43} .* \(ED25519\)$/m)
        // What it signs, the public half accepts.
        writeFileSync(join(folder, 'text'), 'tweet')
        const signed = spawnSync('ssh-keygen', ['-Y', 'sign', '-n', 'x', '-f', file, join(folder, 'text')])
        assert.equal(signed.status, 0)
        const check = ['-Y', 'check-novalidate', '-n', 'x', '-s', join(folder, 'text.sig')]
        assert.equal(spawnSync('ssh-keygen', check, { input: 'tweet' }).status, 0)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  }
})

describe('the public line', () => {
  const line = publicKeyLine(newEd25519Key().publicKey)
  const [type = '', base64 = ''] = line.split(' ')
  const cases: [title: string, text: string, canonical: string | undefined][] = [
    ['is itself', line, line],
    ['loses its comment', `${line} pi@birds-1\r`, line],
    ['loses blanks around and between', `\t ${type}  \t${base64} `, line],
    ['of another type is none', line.replace('ssh-ed25519', 'ssh-rsa'), undefined],
    ['whose type and content differ is none', `ssh-rsa ${base64}`, undefined],
    ['without its key is none', type, undefined],
    ['that was cut is none', line.slice(0, -4), undefined],
    ['that is too long is none', `${line}AAAA`, undefined],
    ['of padded base64 is none', `${line}=`, undefined],
    ['with junk in its base64 is none', `${type} ${base64.slice(0, 30)}$${base64.slice(30)}`, undefined],
    ['with options before it is none', `command="id" ${line}`, undefined],
    ['of 16 KiB is none', `${type} ${'A'.repeat(16_000)}`, undefined],
    ['of nothing is none', '', undefined],
  ]
  for (const [title, text, canonical] of cases) {
    it(title, () => assert.equal(canonicalPublicKey(text), canonical))
  }

  it('is what ssh-keygen lists', { skip: needs('ssh-keygen') }, () => {
    const listed = spawnSync('ssh-keygen', ['-l', '-f', '-'], { input: `${line}\n`, encoding: 'utf8' })
    assert.match(listed.stdout, /ED25519/)
  })
})
