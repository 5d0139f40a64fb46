import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../../lib/formats/crc32.ts'

test('the CRC-32 of the check string is that of the standard', () => {
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
})

test('a CRC-32 can be continued over pieces', () => {
  assert.equal(crc32(Buffer.from('6789'), crc32(Buffer.from('12345'))), 0xcbf43926)
})
