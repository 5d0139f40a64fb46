import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import * as namespaces from '../../../../lib/images/customize/namespaces.ts'
import { needs } from '../../../helpers/needs.ts'

describe('the programs around a script', { skip: needs('shellcheck') }, () => {
  for (const [name, text] of Object.entries(namespaces)) {
    it(`${name} passes shellcheck`, () => {
      const { stdout, status } = spawnSync('shellcheck', ['--shell=sh', '-'], {
        input: text,
        encoding: 'utf8',
      })
      assert.deepEqual([status, stdout], [0, ''])
    })
  }
})
