/** What `init` says of files that are no images. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { expectImage } from '../../../../lib/cli/desk/looks-like.ts'
import type { FleetsieError } from '../../../../lib/errors.ts'
import { checkout } from '../../../helpers/npm-project.ts'

const bootSector = Buffer.alloc(1024)
bootSector.writeUInt16LE(0xaa55, 510)
const gpt = Buffer.alloc(1024)
gpt.write('EFI PART', 512, 'latin1')

describe('a file for `init`', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fleetsie-looks-'))
  })
  after(() => rm(folder, { recursive: true }))

  const refused: [title: string, name: string, content: string | Buffer, what: RegExp][] = [
    ['text', 'notes.txt', 'remember the milk\n', /it is text$/],
    ['an error page', 'os.img.xz', '<!DOCTYPE html><title>404</title>', /a web page/],
    ['a script', 'install.sh', '#!/bin/sh\n', /a script/],
    ['a program', 'program', Buffer.from('\x7fELF\x02\x01\x01\0', 'latin1'), /a program/],
    ['nothing', 'os.img', '', /it is empty/],
    ['a tar archive', 'os.tar.xz', Buffer.from('\xfd7zXZ\0', 'latin1'), /a tar archive/],
    ['another compression', 'os.img.bz2', 'BZh91AY', /it is a bzip2 file/],
    ['bytes without a table', 'os.img', Buffer.alloc(4096, 1), /data without a partition table/],
    ['less than a sector', 'os.img', Buffer.from([0, 1, 2]), /data without a partition table/],
  ]
  for (const [title, name, content, what] of refused) {
    it(`is refused in the document's words when it is ${title}`, async () => {
      await writeFile(join(folder, name), content)
      await assert.rejects(expectImage(join(folder, name)), (error: FleetsieError) => {
        assert.match(error.message, /^this doesn't look like an xz-compressed image file: /)
        assert.match(error.message, what)
        assert.equal(error.exitCode, 1)
        return true
      })
    })
  }

  it('is refused when it is a folder, or not there', async () => {
    await mkdir(join(folder, 'sub.img.xz'))
    await assert.rejects(expectImage(join(folder, 'sub.img.xz')), /no regular file/)
    await assert.rejects(expectImage(join(folder, 'missing.img.xz')), /there is no such file/)
  })

  for (const [title, content] of [
    ['raw, with an MBR', bootSector],
    ['raw, with a GPT', gpt],
    ['.gz, whatever its name', gzipSync(bootSector)],
  ] as const) {
    it(`may be an image: ${title}`, async () => {
      await writeFile(join(folder, 'os.img'), content)
      await expectImage(join(folder, 'os.img'))
    })
  }

  it('may be an .img.xz', () => expectImage(join(checkout, 'fixtures/sample.img.xz')))
})
