/** From mmdebstrap's tar to the layer of the root partition: leftovers go, the image's own files come in. */
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { FleetsieError } from '../../errors.ts'
import { parseDpkgStatus } from '../../formats/dpkg.ts'
import {
  compareEntries,
  type LayerInput,
  type LayerMember,
  readLayer,
  writeLayer,
} from '../../formats/layer.ts'
import { type ImageIdentity, imageFiles, imageLinks, isLeftover } from './configuration.ts'
import { folderEntries, linkEntry, textEntries } from './entries.ts'
import { type DebianLock, refreshHint } from './lock.ts'

/** What the boot loader loads: files outside the store. */
export interface BootFiles {
  kernel: string
  initramfs: string
}

/**
 * Writes the layer `target`, and kernel and initramfs into `folder`.
 * E_INPUT: what was installed is not what the lock says, so that the lock does not hold together.
 */
export async function writeRootLayer(
  tar: string,
  target: string,
  about: { lock: DebianLock; identity: ImageIdentity; folder: string; epoch: number },
): Promise<BootFiles> {
  const { lock, identity, folder, epoch } = about
  const files = imageFiles(lock, identity)
  const links = [...imageLinks].map(([path, to]) => linkEntry(path, to))
  const own = [
    ...folderEntries([...imageLinks.keys()].filter((path) => !files.has(path))),
    ...textEntries(files),
    ...links,
    // mmdebstrap leaves /dev out, but the initramfs has to mount it somewhere.
    ...folderEntries(['dev/.', 'boot/firmware/.']),
  ]
  const taken = new Map<string, string>()
  const capture = async (member: LayerMember): Promise<LayerInput> => {
    const { entry, content } = member
    const name = captured.find(([pattern]) => pattern.test(entry.path))?.[1]
    if (entry.type !== 'file' || name === undefined) return member
    const file = join(folder, name)
    await pipeline(Readable.from(content), createWriteStream(file))
    taken.set(name, file)
    return { entry, content: createReadStream(file) }
  }
  await pipeline(Readable.from(writeLayer(merged(tar, own, epoch, capture))), createWriteStream(target))
  const [status, kernel, initramfs] = ['status', 'vmlinuz', 'initrd.img'].map((name) => taken.get(name))
  if (status === undefined || kernel === undefined || initramfs === undefined) {
    throw new FleetsieError(
      'E_INPUT',
      'the packages of debian.lock make no bootable system: a kernel or its initramfs is missing',
      {
        hint: 'keep linux-image-amd64 and initramfs-tools in `requested`, then run `fleetsie lock`',
      },
    )
  }
  await compareWithLock(status, lock)
  return { kernel, initramfs }
}

const captured: readonly (readonly [RegExp, string])[] = [
  [/^boot\/vmlinuz-[^/]+$/, 'vmlinuz'],
  [/^boot\/initrd\.img-[^/]+$/, 'initrd.img'],
  [/^var\/lib\/dpkg\/status$/, 'status'],
]

/** Both are in a layer's order; for the same path our own entry wins, but for a folder. */
async function* merged(
  tar: string,
  own: readonly LayerInput[],
  epoch: number,
  capture: (member: LayerMember) => Promise<LayerInput>,
): AsyncGenerator<LayerInput> {
  const byPath = new Map<string, LayerInput>()
  for (const input of own) byPath.set(input.entry.path, input)
  const queue = [...byPath.values()].sort((a, b) => compareEntries(a.entry, b.entry))
  for await (const member of readLayer(createReadStream(tar, { highWaterMark: 1024 * 1024 }))) {
    const { entry } = member
    if (isLeftover(entry.path)) continue
    for (let next = queue[0]; next && compareEntries(next.entry, entry) < 0; next = queue[0]) {
      queue.shift()
      yield dated(next, epoch)
    }
    if (queue[0]?.entry.path === entry.path) {
      const ours = queue.shift()
      if (ours && ours.entry.type !== 'directory') {
        yield dated(ours, epoch)
        continue
      }
    }
    yield await capture(member)
  }
  for (const rest of queue) yield dated(rest, epoch)
}

function dated(input: LayerInput, epoch: number): LayerInput {
  if (!('mtime' in input.entry)) return input
  return { ...input, entry: { ...input.entry, mtime: { seconds: epoch, nanoseconds: 0 } } }
}

async function compareWithLock(status: string, lock: DebianLock): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(status)) chunks.push(chunk as Buffer)
  const installed = new Map(parseDpkgStatus(Buffer.concat(chunks)).map((one) => [one.name, one.version]))
  const wrong = lock.packages.filter((one) => installed.get(one.name) !== one.version).map((one) => one.name)
  const locked = new Set(lock.packages.map((one) => one.name))
  const extra = [...installed.keys()].filter((name) => !locked.has(name))
  if (wrong.length + extra.length === 0) return
  throw new FleetsieError(
    'E_INPUT',
    `debian.lock does not hold together: ${[...wrong, ...extra].slice(0, 8).join(', ')} came out otherwise than it says`,
    { hint: refreshHint },
  )
}
