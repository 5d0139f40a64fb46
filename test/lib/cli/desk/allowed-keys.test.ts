import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { allowedKeys } from '../../../../lib/cli/desk/allowed-keys.ts'

describe('a file that may hold a private key', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-desk-'))
    await mkdir(join(folder, 'overlays/part_2/etc'), { recursive: true })
    for (const name of ['a, b.pem', 'z.pem']) await writeFile(join(folder, 'overlays/part_2/etc', name), '')
    await symlink('z.pem', join(folder, 'overlays/part_2/etc/link'))
    await writeFile(join(folder, 'overlays/README.md'), '')
  })
  after(() => rm(folder, { recursive: true }))
  const named = (given: string[], from = '.') =>
    allowedKeys({ folder, image: '', disk: '' }, given, join(folder, from))

  for (const [given, from] of [
    ['overlays/part_2/etc/z.pem', '.'],
    ['overlays/part_2/etc/z.pem', 'part_2/etc'],
    ['my_work/part_2/etc/z.pem', '.'],
    ['part_2/etc/z.pem', '.'],
    ['merged/part_2/etc/z.pem', '.'],
    ['z.pem', 'part_2/etc'],
    ['../etc/z.pem', 'overlays/part_2/etc'],
  ] as const) {
    it(`${given} in ${from} is the one that a refusal names`, async () => {
      assert.deepEqual(await named([given], from), ['overlays/part_2/etc/z.pem'])
    })
  }

  it('several are sorted, each once', async () => {
    const names = ['part_2/etc/z.pem', 'part_2/etc/a, b.pem', 'overlays/part_2/etc/z.pem']
    assert.deepEqual(await named(names), ['overlays/part_2/etc/a, b.pem', 'overlays/part_2/etc/z.pem'])
  })

  for (const given of [
    'part_2/etc',
    'part_2/etc/link',
    'overlays/README.md',
    'part_2/etc/none',
    '../x',
    '',
  ]) {
    it(`${JSON.stringify(given)} is none`, async () => {
      await assert.rejects(named([given]), { code: 'E_USAGE', file: given })
    })
  }
})
