import assert from 'node:assert/strict'
import { chownSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { SshConfig } from '../../../../lib/hosts/ssh/config.ts'
import { remember } from '../../../../lib/hosts/ssh/known-hosts.ts'
import { needsRoot } from '../../../helpers/needs.ts'

test("root leaves a file of the user's own in the home of the user behind sudo", {
  skip: needsRoot,
}, async () => {
  const home = mkdtempSync(join(tmpdir(), 'fleetsie-home-'))
  try {
    chownSync(home, 1000, 1001)
    const file = join(home, '.ssh/known_hosts')
    const config = { knownHosts: [file], knownAs: 'server', hashKnownHosts: false } as unknown as SshConfig
    await remember(config, { type: 'ssh-ed25519', base64: 'AAAA', fingerprint: '' })
    for (const path of [file, dirname(file)]) {
      const { uid, gid } = statSync(path)
      assert.deepEqual([path, uid, gid], [path, 1000, 1001])
    }
    assert.equal(readFileSync(file, 'utf8'), 'server ssh-ed25519 AAAA\n')
  } finally {
    rmSync(home, { recursive: true })
  }
})
