/** Whether two files are the same, holes or not: a digest of all blocks that are not zero, and where they are. */
import { createHash } from 'node:crypto'

export interface Fingerprint {
  /** Bytes. */
  size: number
  /** Blocks that hold anything but zeros. */
  dataBlocks: number
  /** Stretches of such blocks. */
  runs: number
  digest: string
}

/** Takes a file's bytes in order; what is left out between two pieces is zeros. */
export class Fingerprinter {
  private readonly hash = createHash('sha256')
  private readonly where = createHash('sha256')
  private readonly zeros: Buffer
  private readonly partial: Buffer
  private readonly blockSize: number
  private block = 0
  private filled = 0
  private dataBlocks = 0
  private runs = 0
  private lastData = -2

  constructor(blockSize: number) {
    this.blockSize = blockSize
    this.zeros = Buffer.alloc(blockSize)
    this.partial = Buffer.alloc(blockSize)
  }

  add(at: number, bytes: Uint8Array): void {
    let from = 0
    while (from < bytes.length) {
      const block = Math.floor((at + from) / this.blockSize)
      const within = (at + from) % this.blockSize
      const length = Math.min(this.blockSize - within, bytes.length - from)
      const piece = bytes.subarray(from, from + length)
      if (block !== this.block) {
        this.flush()
        this.block = block
      }
      if (length === this.blockSize) {
        this.take(block, piece)
      } else {
        this.partial.set(piece, within)
        this.filled = within + length
      }
      from += length
    }
  }

  finish(size: number): Fingerprint {
    this.flush()
    const { dataBlocks, runs } = this
    const digest = `${this.hash.digest('hex')}:${this.where.digest('hex')}`
    return { size, dataBlocks, runs, digest }
  }

  private flush(): void {
    if (this.filled === 0) return
    this.take(this.block, this.partial)
    this.partial.fill(0)
    this.filled = 0
  }

  private take(block: number, bytes: Uint8Array): void {
    if (this.zeros.equals(bytes)) return
    this.hash.update(bytes)
    this.dataBlocks++
    if (block !== this.lastData + 1) {
      this.runs++
      // With the count of blocks so far, the start of each stretch says where every block is.
      this.where.update(`${this.dataBlocks} ${block},`)
    }
    this.lastData = block
  }
}
