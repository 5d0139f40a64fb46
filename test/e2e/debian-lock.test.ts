/** debian.lock, made anew from what the mirror has: in a copy, so that nothing here depends on how old the lock is. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { runner } from '../../lib/engine/process.ts'
import { type DebianLock, formatLock, readLock } from '../../lib/images/debian/lock.ts'
import { type LockChanges, refreshLock } from '../../lib/images/debian/refresh.ts'
import { needs } from '../helpers/needs.ts'
import { checkout } from '../helpers/npm-project.ts'

describe('a refresh of debian.lock', { skip: needs('apt-get') }, () => {
  const tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-refresh-'))
  after(() => rmSync(tmp, { recursive: true, force: true }))
  const file = join(tmp, 'debian.lock')
  let count = 0
  const refresh = (): Promise<LockChanges> => {
    // apt's settings hold this path.
    const folder = join(tmp, `a folder's ${count++}`)
    mkdirSync(folder)
    return refreshLock(file, { run: runner({ home: folder }), tmp: folder })
  }
  const stale = async (change: (lock: DebianLock) => void): Promise<void> => {
    const lock = await readLock(join(checkout, 'debian.lock'))
    change(lock)
    writeFileSync(file, formatLock(lock))
  }

  it('brings the versions that the mirror has, and is the same lock when made again', async () => {
    await stale((lock) => {
      const systemd = lock.packages.find(({ name }) => name === 'systemd')
      assert.ok(systemd)
      systemd.version = '252.1-1'
      systemd.sha256 = '0'.repeat(64)
      lock.packages = lock.packages.filter(({ name }) => name !== 'zstd')
    })
    const changes = await refresh()
    assert.ok(changes.changed.includes('systemd'), `changed: ${changes.changed}`)
    assert.ok(changes.added.includes('zstd'), `added: ${changes.added}`)
    const text = readFileSync(file, 'utf8')
    assert.doesNotMatch(text, /252\.1-1|0{64}/)
    assert.deepEqual(await refresh(), { added: [], removed: [], changed: [] })
    assert.equal(readFileSync(file, 'utf8'), text)
  })

  it('takes in what was added to `requested`, with all that it needs', async () => {
    await stale((lock) => void lock.requested.push('sqlite3'))
    const { added } = await refresh()
    assert.ok(added.includes('sqlite3') && added.includes('libsqlite3-0'), `added: ${added}`)
    const { requested } = await readLock(file)
    assert.deepEqual(requested, [...requested].sort())
  })

  it('leaves the lock as it was when the mirror has no such package', async () => {
    await stale((lock) => void lock.requested.push('no-such-package'))
    const before = readFileSync(file, 'utf8')
    await assert.rejects(refresh(), { code: 'E_DOWNLOAD', message: /no-such-package/ })
    assert.equal(readFileSync(file, 'utf8'), before)
  })

  it('says so when the mirror does not answer', async () => {
    await stale((lock) => {
      lock.mirror = 'http://127.0.0.1:9/debian'
    })
    await assert.rejects(refresh(), { code: 'E_DOWNLOAD', message: /127\.0\.0\.1:9/ })
  })
})
