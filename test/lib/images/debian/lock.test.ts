import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { formatLock, mirrorOf, readLock } from '../../../../lib/images/debian/lock.ts'

const committed = join(import.meta.dirname, '../../../../debian.lock')

describe('debian.lock', () => {
  const tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-lock-'))
  after(() => rmSync(tmp, { recursive: true, force: true }))
  /** A lock with another value at one place. */
  const write = (place: readonly (string | number)[], value: unknown): string => {
    const lock = JSON.parse(readFileSync(committed, 'utf8'))
    let at = lock
    for (const step of place.slice(0, -1)) at = at[step]
    at[place.at(-1) ?? ''] = value
    const file = join(tmp, 'debian.lock')
    writeFileSync(file, JSON.stringify(lock))
    return file
  }

  it('is written as it is read, one package a line', async () => {
    const text = readFileSync(committed, 'utf8')
    const lock = await readLock(committed)
    assert.equal(formatLock(lock), text)
    const lines = text.split('\n').filter((line) => line.includes('"sha256"'))
    assert.equal(lines.length, lock.packages.length + lock.bootloader.length)
  })

  const damaged: [title: string, place: (string | number)[], value: unknown, message: RegExp][] = [
    [
      'a file that leaves the pool',
      ['packages', 0, 'filename'],
      'pool/../../etc/passwd.deb',
      /packages\.0\.filename/,
    ],
    ['a file with an absolute path', ['packages', 0, 'filename'], '/etc/passwd.deb', /packages\.0\.filename/],
    ['a sum that is none', ['packages', 0, 'sha256'], 'abc', /packages\.0\.sha256/],
    ['a name that apt would take for an option', ['requested', 0], '-oDir=/', /requested\.0/],
    ['another architecture', ['packages', 0, 'architecture'], 'arm64', /packages\.0\.architecture/],
    ['a mirror that is a file', ['mirror'], 'file:///srv', /mirror/],
    ['a mirror with options for apt', ['mirror'], 'http://a [trusted=yes]', /mirror/],
    ['no packages', ['packages'], [], /packages/],
    ['a field that nobody knows', ['other'], 1, /other/],
    ['a later format', ['format'], 2, /format/],
  ]
  for (const [title, place, value, message] of damaged) {
    it(`refuses ${title}, naming file, field and remedy`, async () => {
      const file = write(place, value)
      await assert.rejects(
        readLock(file),
        (error: { code: string; message: string; hint: string; file: string }) => {
          assert.deepEqual([error.code, error.file], ['E_INPUT', file])
          assert.match(error.message, message)
          assert.match(error.hint, /fleetsie lock/)
          return true
        },
      )
    })
  }

  it('says so when there is none, or when it is no JSON', async () => {
    await assert.rejects(readLock(join(tmp, 'none')), { code: 'E_INPUT', message: 'there is no such lock' })
    const file = join(tmp, 'cut')
    writeFileSync(file, readFileSync(committed).subarray(0, 5000))
    await assert.rejects(readLock(file), { code: 'E_INPUT', message: /^not a lock/ })
  })

  it('takes the mirror of the environment before its own', () => {
    const lock = { mirror: 'http://deb.debian.org/debian' }
    const before = process.env['FLEETSIE_DEBIAN_MIRROR']
    try {
      process.env['FLEETSIE_DEBIAN_MIRROR'] = 'http://localhost:3142/debian/'
      assert.equal(mirrorOf(lock), 'http://localhost:3142/debian')
      process.env['FLEETSIE_DEBIAN_MIRROR'] = 'not a mirror'
      assert.throws(() => mirrorOf(lock), { code: 'E_USAGE' })
      delete process.env['FLEETSIE_DEBIAN_MIRROR']
      assert.equal(mirrorOf(lock), lock.mirror)
    } finally {
      if (before !== undefined) process.env['FLEETSIE_DEBIAN_MIRROR'] = before
    }
  })
})
