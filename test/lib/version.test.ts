import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { version } from '../../lib/version.ts'

test('the version that artifacts state is the one of the package', () => {
  const { version: packaged } = JSON.parse(readFileSync('package.json', 'utf8'))
  assert.equal(version, packaged)
})
