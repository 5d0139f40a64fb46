import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { newEd25519Key } from '../../../lib/formats/ed25519.ts'

test('a new key is two halves that belong together, another each time', () => {
  const keys = [newEd25519Key(), newEd25519Key()]
  for (const { seed, publicKey } of keys) {
    // RFC 8410, section 10.3.
    const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const { x } = createPublicKey(createPrivateKey({ key: der, type: 'pkcs8', format: 'der' })).export({
      format: 'jwk',
    })
    assert.equal(publicKey.toString('base64url'), x)
  }
  assert.notDeepEqual(keys[0], keys[1])
})

test('keys are made also while Node collects all garbage at every turn', () => {
  const module = JSON.stringify(import.meta.resolve('../../../lib/formats/ed25519.ts'))
  const script = `const { newEd25519Key } = await import(${module})
    for (let made = 0; made < 20_000; made++) newEd25519Key()`
  const flags = ['--stress-marking=1', '--gc-global', '--max-semi-space-size=1']
  const { status, signal } = spawnSync(
    process.execPath,
    [...flags, '--import', import.meta.resolve('tsx'), '--input-type=module', '-e', script],
    {
      stdio: 'inherit',
      timeout: 120_000,
    },
  )
  assert.deepEqual({ status, signal }, { status: 0, signal: null })
})
