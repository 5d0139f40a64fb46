/** Reads back what a run changed in one partition and writes the layer of it. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { LayerInput } from '../../formats/layer.ts'
import { privateKeyFinder } from '../overlay/private-keys.ts'
import { openVolume } from '../read-tree.ts'
import { withWindow } from '../window.ts'
import { changedEntries } from './changes.ts'
import type { SandboxPart } from './sandbox.ts'
import { readUpper } from './upper.ts'

export interface Capture {
  disk: string
  /** Of the run. */
  folder: string
  ours: ReadonlyMap<string, Buffer | 'folder'>
  unsaidFrom: number
  warn(line: string): void
}

/** `write` gets the entries, and has read their contents when it is done. */
export async function captureLayer(
  { disk, folder, ours, unsaidFrom, warn }: Capture,
  { partition, kind, at }: SandboxPart,
  write: (entries: readonly LayerInput[]) => Promise<void>,
): Promise<void> {
  const file = join(folder, `${partition.number}`, 'changes.tar')
  const upper = await readUpper(file)
  const tar = await open(file, 'r')
  try {
    const isRoot = at === ''
    const entries = await withWindow(disk, partition, 'r', (window) =>
      changedEntries({
        volume: openVolume(window, partition),
        upper,
        tar,
        fat: kind === 'fat',
        isRoot,
        ours: isRoot ? ours : new Map(),
        unsaidFrom,
      }),
    )
    await write(entries.map((input) => watched(input, warn)))
  } finally {
    await tar.close()
  }
}

/** Says so when a program made a private key, which is then the same on every device. */
function watched(input: LayerInput, warn: (line: string) => void): LayerInput {
  const { entry, content } = input
  if (entry.type !== 'file' || !content) return input
  async function* look(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const holdsKey = privateKeyFinder()
    let said = false
    for await (const piece of pieces) {
      if (!said && holdsKey(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength))) {
        said = true
        warn(`/${entry.path} holds a private key, made by the script: every copy of the image will have it`)
      }
      yield piece
    }
  }
  return { entry, content: look(content) }
}
