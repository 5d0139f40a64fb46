import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { keyInFile } from '../../../lib/hosts/public-keys.ts'

describe('the public key that a file holds', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetsie-keys-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }

  test('is its only line', async () => {
    assert.equal(await keyInFile(file('one.pub', '# mine\nssh-ed25519 AAAA me\r\n')), 'ssh-ed25519 AAAA me')
  })

  for (const [title, path, message] of [
    ['is not there', join(folder, 'none'), /no such file/],
    ['is a folder', folder, /no such file/],
    ['holds two', file('two.pub', 'ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n'), /one public key/],
    ['is the private half', file('key', '-----BEGIN OPENSSH PRIVATE KEY-----\n'), /private key/],
  ] as const) {
    test(`a file that ${title} is refused by its name, exit code 1`, async () => {
      await assert.rejects(keyInFile(path), { exitCode: 1, file: path, message })
    })
  }
})
