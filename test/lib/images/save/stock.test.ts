import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { chunkSize, writeManifest } from '../../../../lib/images/image.ts'
import { saveImage } from '../../../../lib/images/save/save-image.ts'
import { buildContext, fakeInput } from '../../../helpers/context.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

test('a stock file of another image is refused: its blocks may fit in size', async (t) => {
  const context = await buildContext({})
  t.after(() => context.remove())
  const [image, stock] = [join(context.tmp, 'image'), join(context.tmp, 'stock')]
  await Promise.all([mkdir(image), mkdir(stock)])
  const container = { kind: 'xz', sha256: sha256('the first') } as const
  await writeManifest(image, { format: 1, size: chunkSize, chunkSize, chunks: [null], container })
  const facts = { name: 'os.img.xz', sha256: sha256('the second'), size: 10 }
  await writeFile(join(stock, 'file.json'), JSON.stringify(facts))
  await assert.rejects(
    saveImage(context, {
      ...{ image: fakeInput(image), table: fakeInput(image), stock: fakeInput(stock), layers: [], name: 'x' },
    }),
    { code: 'E_INPUT', message: /`stock` is not the file/, file: 'os.img.xz' },
  )
})
