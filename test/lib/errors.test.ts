import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ErrorCode, FleetsieError, inFile } from '../../lib/errors.ts'

describe('inFile', () => {
  const table: [title: string, error: FleetsieError, file: string | undefined][] = [
    ['names the file of a failure', failure('E_DAMAGED'), 'outer.img'],
    ['leaves the file that a deeper place has named', failure('E_DAMAGED').inFile('inner.img'), 'inner.img'],
    ['names none when the user ended it', failure('E_INTERRUPTED'), undefined],
  ]
  for (const [title, error, file] of table) {
    it(title, async () => {
      await assert.rejects(
        inFile('outer.img', () => Promise.reject(error)),
        (thrown) => {
          assert.equal(thrown, error)
          assert.equal((thrown as FleetsieError).file, file)
          return true
        },
      )
    })
  }
})

function failure(code: ErrorCode): FleetsieError {
  return new FleetsieError(code, 'it did not work')
}
