/** Runs decompress on files that real tools made of one image. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import type { BuildStage } from '../../lib/engine/stage.ts'
import { FleetsieError } from '../../lib/errors.ts'
import { chunkSize, type ImageManifest, readManifest } from '../../lib/images/image.ts'
import { maxImageSize } from '../../lib/images/limits.ts'
import { decompress } from '../../stages/decompress.ts'
import { buildContext, fakeInput } from '../helpers/context.ts'

export const folder = await mkdtemp(join(tmpdir(), 'fleetsie-decompress-'))
after(() => rm(folder, { recursive: true }))
let count = 0

interface Outcome {
  disk: Buffer
  /** Of 512 bytes, as the filesystem counts what the file takes. */
  blocks: number
  manifest: ImageManifest
  declared: unknown
  progress: number | undefined
}

/** A folder as `fetch` makes it. */
export async function fetched(name: string, content: Buffer): Promise<string> {
  const path = join(folder, `${count++}`)
  await mkdir(path)
  await writeFile(join(path, name), content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  await writeFile(join(path, 'file.json'), JSON.stringify({ name, sha256, size: content.length }))
  return path
}

export async function realise(context: object): Promise<void> {
  await (decompress.stage as BuildStage).run(context as never)
}

/** Runs the stage on a file of that name and content. */
export async function run(name: string, content: Buffer, maxSize = maxImageSize): Promise<Outcome> {
  const path = await fetched(name, content)
  const context = await buildContext({ from: fakeInput(path), maxSize })
  try {
    await realise(context)
    assert.deepEqual((await readdir(context.out)).sort(), ['disk.img', 'image.json'])
    return {
      disk: await readFile(join(context.out, 'disk.img')),
      blocks: (await stat(join(context.out, 'disk.img'))).blocks,
      manifest: await readManifest(context.out),
      declared: context.record.declared.get('disk.img'),
      progress: context.record.progress.at(-1)?.done,
    }
  } finally {
    await context.remove()
    await rm(path, { recursive: true })
  }
}

export function tool(command: string, args: readonly string[], input: Buffer = image): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, args, { input, maxBuffer: 1 << 28 })
  if (error) throw error
  assert.equal(status, 0, `${command}: ${stderr}`)
  return stdout
}

export const xz = (args: readonly string[], input = image): Buffer => tool('xz', ['-c', '-3', ...args], input)

/** Text, noise and long zeros, so that blocks of all kinds are there. */
export const image = Buffer.alloc(5 * chunkSize + 1024)
image.write('boot', 0)
for (let at = 300_000; at < 500_000; at += 32) createHash('sha256').update(`${at}`).digest().copy(image, at)
image.fill('text of a file ', 4 * chunkSize - 9999, 4 * chunkSize + 9999)
image.write('the end', image.length - 7)

export const block = '--block-size=777216'
export const halves = [image.subarray(0, 2_000_000), image.subarray(2_000_000)] as const
export const padding = Buffer.alloc(4096)

export const python = (script: string, input = image): Buffer =>
  tool(
    'python3',
    ['-c', `import sys,io\ndata=sys.stdin.buffer.read()\nout=sys.stdout.buffer\n${script}`],
    input,
  )
export const zip = (method: string, names: readonly string[]): Buffer =>
  python(
    `import zipfile\nb=io.BytesIO()\nz=zipfile.ZipFile(b,'w',zipfile.${method})\n${names
      .map((name) => `z.writestr(${JSON.stringify(name)},data)`)
      .join('\n')}\nz.close()\nout.write(b.getvalue())`,
  )

/** Judges an error that names the file as damaged. */
export function damage(file: string, says: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FleetsieError, String(error))
    assert.equal(error.code, 'E_DAMAGED', error.message)
    assert.equal(error.file, file)
    assert.match(error.message, says)
    return true
  }
}

export function flippedBit(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}
