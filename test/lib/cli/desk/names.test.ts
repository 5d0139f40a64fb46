/** What images and saved images are called. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { expectOwn, savedName } from '../../../../lib/cli/desk/saved-name.ts'
import { imageNameOf, sourceOf } from '../../../../lib/cli/desk/source.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'

const sha256 = 'a'.repeat(64)
const desk = { folder: '/desk', image: 'os.img', disk: '/desk/os.img' }

describe('an image from a path or a URL', () => {
  for (const [given, name] of [
    ['/x/os.img.xz', 'os.img'],
    ['/x/os.img', 'os.img'],
    ['/x/2024-03-15-raspios-bookworm-arm64.img.xz', '2024-03-15-raspios-bookworm-arm64.img'],
    ['/x/OS.IMG.GZ', 'OS.img'],
    ['/x/os.zip', 'os.img'],
    ['/x/part.of.a.name.xz', 'part.of.a.name.img'],
  ] as const) {
    it(`${given} is ${name}`, () => {
      assert.equal(imageNameOf({ type: 'file', path: given, sha256 }), name)
    })
  }

  it('a URL counts without its query', () => {
    const url = 'https://example.org/os%2B1.img.xz?mirror=a/b'
    assert.equal(imageNameOf({ type: 'url', url, sha256 }), 'os+1.img')
  })

  for (const path of ['/x/.img.xz', '/x/my image.img.xz', '/x/-rf.img.xz']) {
    it(`${path} gives no name`, () => {
      assert.throws(() => imageNameOf({ type: 'file', path, sha256 }), { code: 'E_USAGE' })
    })
  }

  it('a URL needs a sum, and the hint has the commands, quoted for a shell', async () => {
    const failing = sourceOf("https://example.org/it's.img.xz", undefined, '/', undefined as never)
    await assert.rejects(failing, (error: FleetsieError) => {
      assert.equal(error.exitCode, 1)
      assert.match(
        error.hint ?? '',
        /fleetsie_mod init 'https:\/\/example\.org\/it'\\''s\.img\.xz' --sha256 SUM/,
      )
      return true
    })
    const wrong = sourceOf('https://example.org/os.img.xz', 'abc', '/', undefined as never)
    await assert.rejects(wrong, /64 hexadecimal digits/)
  })
})

describe('a saved image', () => {
  for (const [given, path] of [
    [undefined, '/desk/os_fleetsie.img.xz'],
    ['my.img.xz', '/home/my.img.xz'],
    ['my.img', '/home/my.img.xz'],
    ['my', '/home/my.img.xz'],
    ['v1.2', '/home/v1.2.img.xz'],
    ['../out/my.img.xz', '/out/my.img.xz'],
    ['/desk/my.img.xz', '/desk/my.img.xz'],
  ] as const) {
    it(`${given ?? 'without a name'} is ${path}`, () => {
      assert.equal(savedName(desk, given, '/home').path, path)
    })
  }

  for (const given of ['', 'folder/', 'my.zip', 'my.img.gz', 'a b', '-x', '..', '/desk/part_2/my.img.xz']) {
    it(`is not called ${JSON.stringify(given)}`, () => {
      assert.throws(() => savedName(desk, given, '/home'), { code: 'E_USAGE' })
    })
  }

  it('takes the place of an earlier one only', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetsie-names-'))
    try {
      const place = { folder, image: 'os.img', disk: join(folder, 'os.img') }
      const wanted = savedName(place, undefined, '/')
      await expectOwn(wanted, place, { saved: [] }, undefined)
      await writeFile(wanted.path, 'somebody else made this')
      await assert.rejects(expectOwn(wanted, place, { saved: [] }, undefined), { code: 'E_UNSAFE' })
      await expectOwn(wanted, place, { saved: [{ path: 'os_fleetsie.img.xz' }] }, undefined)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('takes the place of no other file of the user’s', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fleetsie-names-'))
    try {
      const place = { folder, image: 'os.img', disk: join(folder, 'os.img') }
      const wanted = savedName(place, undefined, '/')
      const earlier = { saved: [{ path: 'os_fleetsie.img.xz' }] }
      for (const name of ['img.bmap', 'sha256sums', 'intoto.json', 'img.xz.p7s']) {
        const file = join(folder, `os_fleetsie.${name}`)
        await writeFile(file, 'mine')
        await assert.rejects(expectOwn(wanted, place, { saved: [] }, undefined), { code: 'E_UNSAFE', file })
        await expectOwn(wanted, place, earlier, undefined)
        await rm(file)
      }
      const file = join(folder, 'ca.crt')
      await writeFile(file, 'theirs')
      for (const authority of [undefined, 'ours']) {
        await assert.rejects(expectOwn(wanted, place, { saved: [] }, authority), { code: 'E_UNSAFE', file })
      }
      await expectOwn(wanted, place, { saved: [] }, 'theirs')
      await expectOwn(wanted, place, { saved: [{ path: 'other.img.xz' }] }, 'ours')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
