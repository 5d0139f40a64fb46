/** The peer of `edit` must do its whole work, or the ratio would flatter us. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { needs } from '../helpers/needs.ts'

const checkout = join(import.meta.dirname, '../..')
/** Where the sample has its partitions. */
const boot = 4 * 2 ** 20
const root = 44 * 2 ** 20

describe('bench/seed.sh', { skip: needs('xz', 'sfdisk', 'mcopy') }, () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-seed-'))
    await mkdir(join(folder, 'overlays/part_1'), { recursive: true })
    await mkdir(join(folder, 'overlays/part_2/etc/new'), { recursive: true })
    await writeFile(join(folder, 'overlays/part_1/bench.txt'), 'boot')
    await writeFile(join(folder, 'overlays/part_2/etc/hostname'), 'edited')
    await writeFile(join(folder, 'overlays/part_2/etc/new/file'), 'added')
    await mkdir(join(folder, 'no-mount'))
    await writeFile(join(folder, 'no-mount/mount'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const cases: [string, string][] = [
    ['copies into both partitions, mounted where this machine can', ''],
    ['does the same by debugfs where nothing can be mounted', 'no-mount'],
  ]
  for (const [title, first] of cases) {
    it(title, () => {
      const output = join(folder, 'out.img.xz')
      const disk = join(folder, 'out.img')
      const path = [...(first ? [join(folder, first)] : []), process.env['PATH'], '/usr/sbin', '/sbin']
      const env = { ...process.env, PATH: path.join(delimiter) }
      const run = (command: string, ...args: string[]): string =>
        execFileSync(command, args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'ignore'] })

      const stock = join(checkout, 'fixtures/sample.img.xz')
      run('sh', join(checkout, 'bench/seed.sh'), stock, join(folder, 'overlays'), output)
      run('xz', '--decompress', '--force', output)
      const cat = (file: string): string => run('debugfs', '-R', `cat ${file}`, `${disk}?offset=${root}`)
      assert.equal(cat('/etc/hostname'), 'edited')
      assert.equal(cat('/etc/new/file'), 'added')
      assert.equal(run('mcopy', '-i', `${disk}@@${boot}`, '::/bench.txt', '-'), 'boot')
    })
  }
})
