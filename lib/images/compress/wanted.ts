/** A block that one or more pieces become, and the key under which it is kept. */
import { canonicalJson, sha256Hex } from '../../engine/canonical.ts'
import { codeDigests, codeFiles, codeRoot, editedCode } from '../../engine/code-digest.ts'
import type { CheckId } from '../../formats/xz/check.ts'
import type { Piece } from '../../formats/xz/cut.ts'
import { filterChain } from '../encode-pieces.ts'
import { nameOf, type Part } from './content.ts'
import type { Spooled } from './spool.ts'

export type EncodedPiece = Extract<Piece, { kind: 'encode' }>
export type RecodedPiece = Extract<Piece, { kind: 'recode' }>

export interface Wanted {
  /** Tells all that the block depends on. */
  key: string
  /** The first piece that becomes this block. */
  piece: EncodedPiece | RecodedPiece
  /** What is encoded; none for what is recoded. */
  content: readonly Part[]
  /** Pieces that have not taken the block yet. */
  uses: number
  block: Promise<Spooled>
  made(block: Spooled): void
  failed(error: unknown): void
}

/** The form of the keys, and of what is kept under them. */
const version = 1

/** `encoder`: the sha256 of xz. */
export function wantEncoded(
  piece: EncodedPiece,
  content: readonly Part[],
  check: CheckId,
  encoder: string,
): Wanted {
  const chain = filterChain(piece.length)
  return want(
    `xz block ${version}: ${nameOf(content)}; ${chain}; check ${check}; xz ${encoder}`,
    piece,
    content,
  )
}

/** `stock`: the sha256 of the file. `start`: where the piece's block begins in the image. */
export function wantRecoded(piece: RecodedPiece, start: number, check: CheckId, stock: string): Wanted {
  const from = piece.offset - start
  const range = `bytes ${from} to ${from + piece.length} of block ${piece.block} of ${stock}`
  return want(`xz block ${version}: ${range}; check ${check}; recoder ${recoder()}`, piece, [])
}

function want(key: string, piece: Wanted['piece'], content: readonly Part[]): Wanted {
  let made!: Wanted['made']
  let failed!: Wanted['failed']
  const block = new Promise<Spooled>((resolve, reject) => {
    made = resolve
    failed = reject
  })
  // Whoever takes it hears of its failure; nobody may, after another one.
  block.catch(() => {})
  return { key, piece, content, uses: 0, block, made, failed }
}

const recoderModule = new URL('./recode-blocks.ts', import.meta.url).href
let recoderDigest: string | undefined

/** What our recoder is: the sources that it is made of, so that nobody needs to count its versions. */
function recoder(): string {
  recoderDigest ??= recoderNow()
  return recoderDigest
}

function recoderNow(): string {
  return sha256Hex(canonicalJson(codeDigests(recoderModule, codeRoot)))
}

/**
 * Whether the block that was just made is what its key says. A recoder reads its sources when it starts: edited since the
 * key was made, they made something else.
 */
export function isAsKeyed({ piece }: Wanted): boolean {
  if (piece.kind === 'encode') return true
  return recoderNow() === recoder() && editedCode(codeFiles(recoderModule, codeRoot)) === undefined
}
