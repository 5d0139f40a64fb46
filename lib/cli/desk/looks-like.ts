/** Whether a file can be an image at all, told by its first bytes before anything is made of it. */
import { type FileHandle, open } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { containerKind } from '../../images/containers/kind.ts'

const looked = 4096
const sector = 512
/** Tab, line feed, form feed, carriage return, escape. */
const textControls = [0x09, 0x0a, 0x0c, 0x0d, 0x1b]

/** Fails with E_INPUT and the documented words, and says what the file is instead. */
export async function expectImage(path: string): Promise<void> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') throw cause
    throw new FleetsieError('E_INPUT', 'there is no such file', { file: path, cause })
  })
  try {
    const what = (await file.stat()).isFile() ? await otherThanImage(file, path) : 'it is no regular file'
    if (what === undefined) return
    throw new FleetsieError('E_INPUT', `this doesn't look like an xz-compressed image file: ${what}`, {
      file: path,
      hint: 'give the .img.xz of a whole disk; .img.gz, .img.zst, .zip and a raw .img are taken as well',
    })
  } finally {
    await file.close()
  }
}

/** What it is, in words; undefined when it may be an image. */
async function otherThanImage(file: FileHandle, path: string): Promise<string | undefined> {
  const buffer = Buffer.alloc(looked)
  const { bytesRead } = await file.read(buffer, 0, looked, 0)
  const start = buffer.subarray(0, bytesRead)
  if (start.length === 0) return 'it is empty'
  if (/\.(tar(\.\w+)?|t[gx]z)$/i.test(path)) return 'it is a tar archive'
  try {
    if (containerKind(start, path) !== 'raw') return undefined
  } catch (error) {
    const kind = /^this is (a \w+ file)$/.exec((error as Error).message)?.[1]
    return kind === undefined ? `its name promises more, but it is ${contentOf(start)}` : `it is ${kind}`
  }
  const isDisk =
    (start.length >= sector && start.readUInt16LE(sector - 2) === 0xaa55) ||
    start.toString('latin1', sector, sector + 8) === 'EFI PART'
  return isDisk ? undefined : `it is ${contentOf(start)}`
}

function contentOf(start: Buffer): string {
  const text = start.toString('latin1')
  if (/^\s*<(!doctype html|html)/i.test(text)) return 'a web page (HTML)'
  if (text.startsWith('\x7fELF')) return 'a program (ELF)'
  if (text.startsWith('#!')) return 'a script'
  if (text.slice(257, 262) === 'ustar') return 'a tar archive'
  const isText = start.every((byte) => byte >= 0x20 || textControls.includes(byte))
  return isText ? 'text' : 'data without a partition table'
}
