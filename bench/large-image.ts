/**
 * A stock image for when none is at hand: the sample, grown to 1 GiB and filled with 300 MiB, a third of it noise,
 * the rest words that compress like text. The same bytes each time, whatever machine makes it.
 */
import { createCipheriv } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../lib/engine/process.ts'
import { compressTo, decompressTo, growLast, putBack, tools } from './disk.ts'

const MiB = 1024 * 1024
const size = 1024 * MiB
const files = 300

/** Makes it at `output` from the sample's file. Takes about half a minute, most of it xz. */
export async function makeLargeImage(sample: string, output: string, tmp: string): Promise<void> {
  await mkdir(tmp, { recursive: true })
  const run = tools(tmp)
  const disk = join(tmp, 'disk.img')
  const partition = join(tmp, 'root.img')
  await decompressTo(run, sample, disk)
  const { offset } = await growLast(run, disk, size, partition)
  await fill(run, partition, tmp)
  await putBack(run, partition, disk, offset)
  await compressTo(run, disk, output)
  await rm(tmp, { recursive: true })
}

async function fill(run: Run, partition: string, tmp: string): Promise<void> {
  const random = randomBytes()
  const words = Array.from({ length: 4096 }, () => random(3 + (random(1)[0]! % 9)).toString('base64'))
  const commands = ['mkdir /srv/bench']
  for (let n = 0; n < files; n++) {
    const source = join(tmp, `file-${n}`)
    await writeFile(source, n % 3 === 0 ? random(MiB) : text(words, random(MiB / 2)))
    commands.push(`write ${source} /srv/bench/file-${n}`)
  }
  await writeFile(join(tmp, 'commands'), `${commands.join('\n')}\n`)
  await run('debugfs', ['-w', '-f', join(tmp, 'commands'), partition])
}

function text(words: readonly string[], choices: Buffer): Buffer {
  const file = Buffer.alloc(MiB)
  let end = 0
  for (let at = 0; end < MiB; at += 2) {
    // The smaller of two choices: some words are frequent, as in any language.
    const word = words[Math.min(choices.readUInt16LE(at), choices.readUInt16LE(at + 2)) % words.length]!
    end += file.write(`${word} `, end)
  }
  return file
}

/** Bytes that look random and are the same each time. */
function randomBytes(): (length: number) => Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'fleetsie'), Buffer.alloc(16))
  return (length) => cipher.update(Buffer.alloc(length))
}
