/** The tar of a push: what goes into place, under numbers, and last the plan that says where to. */
import type { LayerAttributes, LayerFile } from '../../formats/layer/entry.ts'
import { type LayerEntry, type LayerInput, writeLayer } from '../../formats/layer.ts'
import { placedPieces } from '../tree/placed-pieces.ts'
import { shown, type Volume } from '../volume.ts'
import { layerMembers } from './index-layers.ts'
import type { Item } from './item.ts'
import { memberName, planName } from './script.ts'
import type { ContentPlace } from './wanted.ts'

/** What the receiving side can hold. */
export interface Receiver {
  fat: boolean
  /** Else files are sent without holes and extended attributes. */
  gnuTar: boolean
}

/** Gives each item its member's name, in the order in which the contents can be read. */
export function memberNames(items: readonly Item[], layers: readonly string[]): Map<Item, string> {
  const rank = ({ content }: Item): number =>
    content === undefined ? -1 : 'stock' in content ? layers.length : layers.indexOf(content.layer)
  const member = ({ content }: Item): number => (content && 'member' in content ? content.member : 0)
  const sorted = items
    .filter(({ linkTo }) => linkTo === undefined)
    .sort((a, b) => rank(a) - rank(b) || member(a) - member(b))
  return new Map(sorted.map((item, index) => [item, memberName(index)]))
}

/**
 * The bytes to send. `committing` is called before the plan is given out: from then on the other side may have all.
 * It stops the push by throwing.
 */
export async function* pushArchive(
  volume: Volume,
  names: ReadonlyMap<Item, string>,
  plan: string,
  receiver: Receiver,
  committing: () => void,
): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(plan, 'latin1')
  async function* inputs(): AsyncGenerator<LayerInput> {
    yield* itemInputs(volume, names, receiver)
    committing()
    const entry: LayerEntry = { ...plainAttributes, path: planName, type: 'file', size: bytes.length }
    yield { entry, content: once(bytes) }
  }
  yield* writeLayer(inputs())
}

const plainAttributes = {
  mode: 0o600,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  xattrs: new Map<string, Buffer>(),
}

async function* itemInputs(
  volume: Volume,
  names: ReadonlyMap<Item, string>,
  receiver: Receiver,
): AsyncGenerator<LayerInput> {
  let layer: string | undefined
  let members: ReturnType<typeof layerMembers> | undefined
  let next = 0
  try {
    for (const [item, name] of names) {
      const { content } = item
      if (content === undefined) {
        yield { entry: entryOf(item, name, receiver) }
      } else if ('stock' in content) {
        const entry: LayerEntry = { ...attributesFor(item, name, receiver), type: 'file', size: content.size }
        yield { entry, content: withoutHoles(volume.pieces(content.stock), content.size) }
      } else {
        if (content.layer !== layer) {
          await members?.return(undefined)
          members = layerMembers(content.layer)
          layer = content.layer
          next = 0
        }
        yield await layerFile(members!, content, item, name, receiver)
      }
    }
  } finally {
    await members?.return(undefined)
  }

  async function layerFile(
    from: ReturnType<typeof layerMembers>,
    { member }: ContentPlace,
    item: Item,
    name: string,
    receiver: Receiver,
  ): Promise<LayerInput> {
    for (;;) {
      const { value } = await from.next()
      if (!value || next++ < member) continue
      const file = value.entry as LayerFile
      const entry = { ...attributesFor(item, name, receiver), type: 'file' as const, size: file.size }
      if (file.extents === undefined) return { entry, content: value.content }
      if (!receiver.gnuTar)
        return { entry, content: withoutHoles(placedPieces(file, value.content), file.size) }
      return { entry: { ...entry, extents: file.extents }, content: value.content }
    }
  }
}

function attributesFor({ attributes }: Item, path: string, { fat, gnuTar }: Receiver): LayerAttributes {
  const own = fat ? { ...plainAttributes, mode: 0o755, mtime: attributes.mtime } : attributes
  return { ...own, path, xattrs: gnuTar ? own.xattrs : plainAttributes.xattrs }
}

/** Of an item that has no content. */
function entryOf(item: Item, path: string, receiver: Receiver): LayerEntry {
  const attributes = attributesFor(item, path, receiver)
  if (item.target !== undefined) return { ...attributes, type: 'symlink', target: shown(item.target) }
  if (item.device) return { ...attributes, type: item.type as 'character' | 'block', ...item.device }
  return { ...attributes, type: item.type as 'directory' | 'fifo' }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

const zeros = Buffer.alloc(256 * 1024)

async function* withoutHoles(
  pieces: Iterable<{ at: number; bytes: Uint8Array }> | AsyncIterable<{ at: number; bytes: Uint8Array }>,
  size: number,
): AsyncGenerator<Uint8Array> {
  let done = 0
  function* hole(end: number): Generator<Uint8Array> {
    while (done < end) {
      const piece = zeros.subarray(0, end - done)
      done += piece.length
      yield piece
    }
  }
  for await (const { at, bytes } of pieces) {
    yield* hole(at)
    yield bytes
    done += bytes.length
  }
  yield* hole(size)
}
