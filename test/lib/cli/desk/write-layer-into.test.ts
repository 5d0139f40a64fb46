/** `install` writes into a tree whose links may lead anywhere. */
import assert from 'node:assert/strict'
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { writeLayerInto } from '../../../../lib/cli/desk/write-layer-into.ts'
import { directory, file, symlink as link, pack } from '../../../helpers/layers.ts'

describe('a layer written into a tree', () => {
  let folder: string
  let top: string
  const members = [
    directory('etc/new'),
    file('usr/bin/program', '#!/bin/sh\n', { mode: 0o755 }),
    link('etc/new/link', '/usr/bin/program'),
  ]
  const layer = async (): Promise<string> => {
    await writeFile(join(folder, 'layer.tar'), await pack(members))
    return join(folder, 'layer.tar')
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-write-'))
    top = join(folder, 'top')
    for (const name of ['top/etc', 'top/usr/bin', 'outside'])
      await mkdir(join(folder, name), { recursive: true })
  })
  afterEach(() => rm(folder, { recursive: true }))

  it('is there, with its modes, and the second time nothing is written', async () => {
    const tar = await layer()
    assert.deepEqual((await writeLayerInto(top, tar)).sort(), ['etc/new', 'etc/new/link', 'usr/bin/program'])
    assert.equal(statSync(join(top, 'usr/bin/program')).mode & 0o7777, 0o755)
    assert.equal(readlinkSync(join(top, 'etc/new/link')), '/usr/bin/program')
    assert.deepEqual(await writeLayerInto(top, tar), [])
    await chmod(join(top, 'usr/bin/program'), 0o644)
    assert.deepEqual(await writeLayerInto(top, tar), ['usr/bin/program'])
    assert.deepEqual(readdirSync(join(top, 'usr/bin')), ['program'], 'no name of ours is left')
  })

  for (const [title, target] of [
    ['an absolute link', '/outside'],
    ['one that climbs', '../../../../outside'],
  ] as const) {
    it(`follows ${title} inside the tree`, async () => {
      await rm(join(top, 'etc'), { recursive: true })
      await symlink(target, join(top, 'etc'))
      await mkdir(join(top, 'outside'))
      await writeLayerInto(top, await layer())
      assert.deepEqual(readdirSync(join(top, 'outside')), ['new'])
      assert.deepEqual(readdirSync(join(folder, 'outside')), [])
    })
  }

  it('begins an absolute link at the top of the tree, however deep it lies', async () => {
    await rm(join(top, 'usr/bin'), { recursive: true })
    await symlink('/outside', join(top, 'usr/bin'))
    await mkdir(join(top, 'outside'))
    await writeLayerInto(top, await layer())
    assert.deepEqual(readdirSync(join(top, 'outside')), ['program'])
  })

  it('replaces a link of the same name and does not write through it', async () => {
    await writeFile(join(folder, 'outside/victim'), 'mine')
    await symlink(join(folder, 'outside/victim'), join(top, 'usr/bin/program'))
    await writeLayerInto(top, await layer())
    assert.ok(lstatSync(join(top, 'usr/bin/program')).isFile())
    assert.equal(readFileSync(join(folder, 'outside/victim'), 'utf8'), 'mine')
  })

  it('refuses links that lead in a circle', async () => {
    await rm(join(top, 'usr'), { recursive: true })
    await symlink('usr', join(top, 'usr'))
    await assert.rejects(async () => writeLayerInto(top, await layer()), /in a circle/)
  })
})
