import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { runner } from '../../../../lib/engine/process.ts'
import type { DebianLock, LockedPackage } from '../../../../lib/images/debian/lock.ts'
import { downloadPackages, indexPackages } from '../../../../lib/images/debian/packages.ts'
import { needs } from '../../../helpers/needs.ts'

describe('the locked packages', { skip: needs('dpkg-deb') }, () => {
  const tmp = mkdtempSync(join(tmpdir(), 'fleetsie-test-packages-'))
  const pool = new Map<string, Buffer>()
  const asked: string[] = []
  let server: Server
  let lock: DebianLock
  let folder = ''
  let cache = ''
  const outer = { cache: process.env['XDG_CACHE_HOME'], offline: process.env['FLEETSIE_OFFLINE'] }

  const make = (name: string, version: string): LockedPackage => {
    const tree = join(tmp, `${name}-tree`)
    mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: ${name}\n`
    writeFileSync(join(tree, 'DEBIAN/control'), control)
    const deb = join(tmp, `${name}.deb`)
    execFileSync('dpkg-deb', ['--root-owner-group', '--build', tree, deb], { stdio: 'pipe' })
    const bytes = readFileSync(deb)
    const file = version.replace(/^\d+:/, '')
    const filename = `pool/main/${name}/${name}_${file}_all.deb`
    pool.set(`/debian/${filename}`, bytes)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return { name, version, architecture: 'all', sha256, size: bytes.length, filename }
  }
  const context = { signal: new AbortController().signal, progress: () => {}, note: () => {} }

  before(async () => {
    server = createServer((request, response) => {
      asked.push(request.url ?? '')
      const bytes = pool.get(decodeURIComponent(request.url ?? ''))
      response.writeHead(bytes ? 200 : 404).end(bytes)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    delete process.env['FLEETSIE_OFFLINE']
  })
  after(async () => {
    await new Promise((resolve) => server.close(resolve))
    for (const [name, value] of [
      ['XDG_CACHE_HOME', outer.cache],
      ['FLEETSIE_OFFLINE', outer.offline],
    ] as const) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
    rmSync(tmp, { recursive: true, force: true })
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmp, 'out-'))
    // Two packages that are made within one second are the same bytes.
    cache = mkdtempSync(join(tmp, 'cache-'))
    process.env['XDG_CACHE_HOME'] = cache
    asked.length = 0
    const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`
    const packages = [make('alpha', '1:2.0+deb12u1~rc1'), make('beta', '1.0')]
    lock = {
      ...{
        format: 1,
        mirror,
        suites: ['bookworm'],
        architecture: 'amd64',
        published: 1,
        requested: ['alpha'],
      },
      ...{ packages, bootloader: [make('gamma', '3')] },
    }
  })

  it('may be in the image and make it bootable', async () => {
    lock.packages.push(lock.bootloader[0]!)
    await downloadPackages(lock, folder, context)
    assert.equal(readdirSync(folder).length, 3)
    assert.equal(asked.filter((url) => url.includes('gamma')).length, 1)
  })

  it('become a folder that apt takes for a repository', async () => {
    await downloadPackages(lock, folder, context)
    await indexPackages(lock, folder, runner({ home: folder }))
    assert.deepEqual(readdirSync(folder), [
      'Packages',
      'alpha_1_2.0+deb12u1~rc1_all.deb',
      'beta_1.0_all.deb',
      'gamma_3_all.deb',
    ])
    const index = readFileSync(join(folder, 'Packages'), 'utf8').split('\n\n')
    assert.equal(index.length, 2, 'the boot loader is not for the image')
    assert.match(index[0] ?? '', /^Version: 1:2\.0\+deb12u1~rc1$/m)
    assert.match(index[0] ?? '', /^Filename: \.\/alpha_1_2\.0\+deb12u1~rc1_all\.deb$/m)
    assert.match(index[0] ?? '', new RegExp(`^SHA256: ${lock.packages[0]?.sha256}$`, 'm'))
  })

  it('name `lock` as the remedy when the mirror no longer has one, and what came is not asked for again', async () => {
    const gone = `/debian/${lock.bootloader[0]?.filename}`
    const bytes = pool.get(gone) ?? Buffer.alloc(0)
    pool.delete(gone)
    await assert.rejects(
      downloadPackages(lock, folder, context),
      (error: { code: string; message: string; hint: string }) => {
        assert.equal(error.code, 'E_DOWNLOAD')
        assert.match(error.message, /no longer has gamma 3/)
        assert.match(error.hint, /fleetsie lock/)
        return true
      },
    )
    assert.deepEqual(readdirSync(folder), [])
    pool.set(gone, bytes)
    asked.length = 0
    await downloadPackages(lock, folder, context)
    assert.ok(asked.includes(gone))
    assert.ok(asked.length < 3, `asked again for ${asked.join(' ')}`)
    assert.equal(readdirSync(folder).length, 3)
  })

  it('stay in the cache for another store and for a build that checks itself', async () => {
    await downloadPackages(lock, folder, context)
    const other = mkdtempSync(join(tmp, 'out-'))
    asked.length = 0
    process.env['FLEETSIE_OFFLINE'] = '1'
    try {
      await downloadPackages(lock, other, context)
    } finally {
      delete process.env['FLEETSIE_OFFLINE']
    }
    assert.deepEqual(asked, [])
    const name = 'beta_1.0_all.deb'
    assert.deepEqual(readdirSync(other), readdirSync(folder))
    assert.ok(readFileSync(join(other, name)).equals(readFileSync(join(folder, name))))
  })

  it('are downloaded again when the cache loses one before it is copied', async () => {
    const [alpha] = lock.packages
    const cached = join(cache, 'fleetsie-downloads/packages', `${alpha?.sha256}.deb`)
    for (const spoil of [() => rmSync(cached), () => writeFileSync(cached, 'damaged')]) {
      const out = mkdtempSync(join(tmp, 'out-'))
      let downloaded = 0
      const progress = (): void => {
        downloaded += 1
        if (downloaded === 3) spoil()
      }
      asked.length = 0
      await downloadPackages(lock, out, { ...context, progress })
      assert.ok(asked.includes(`/debian/${alpha?.filename}`.replaceAll('+', '%2b')), asked.join(' '))
      assert.equal(readdirSync(out).length, 3)
      await indexPackages(lock, out, runner({ home: out }))
    }
  })

  it('are not taken when the mirror has put another file under the name', async () => {
    const path = `/debian/${lock.packages[1]?.filename}`
    pool.set(path, Buffer.from(pool.get(path) ?? []).fill(0, 100, 110))
    await assert.rejects(downloadPackages(lock, folder, context), {
      code: 'E_DOWNLOAD',
      message: /no longer has beta/,
    })
    assert.deepEqual(readdirSync(folder), [])
  })

  it('are not downloaded offline', async () => {
    process.env['FLEETSIE_OFFLINE'] = '1'
    try {
      lock.packages.push(make('delta', '4'))
      await assert.rejects(downloadPackages(lock, folder, context), { code: 'E_OFFLINE' })
      assert.deepEqual(asked, [])
    } finally {
      delete process.env['FLEETSIE_OFFLINE']
    }
  })

  it('are refused when a file is another package than the lock says', async () => {
    await downloadPackages(lock, folder, context)
    const [alpha] = lock.packages
    assert.ok(alpha)
    execFileSync('mv', [join(folder, 'beta_1.0_all.deb'), join(folder, 'alpha_1_2.0+deb12u1~rc1_all.deb')])
    await assert.rejects(indexPackages(lock, folder, runner({ home: folder })), {
      code: 'E_VERIFY',
      message: /holds beta 1\.0/,
    })
  })
})
