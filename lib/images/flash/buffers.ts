/** Buffers of whole memory pages, which O_DIRECT asks for, and a fixed number of them to go round. */

/** Not among the types of Node without those of a browser. */
declare const WebAssembly: { Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer } }

const wasmPage = 65_536
/** Of each device and filesystem that is known; many do with 512. */
export const memoryUnit = 4096
const pages = new WeakSet<ArrayBufferLike>()

/**
 * So many buffers of `length` bytes, each at the start of a memory page. Node has no other way to such memory than
 * WebAssembly's, which is mapped.
 */
export function alignedBuffers(count: number, length: number): Buffer[] {
  const step = Math.ceil(length / memoryUnit) * memoryUnit
  const { buffer } = new WebAssembly.Memory({ initial: Math.ceil((count * step) / wasmPage) })
  pages.add(buffer)
  return Array.from({ length: count }, (_, i) => Buffer.from(buffer, i * step, length))
}

/** Whether `buffer` begins at a multiple of `unit` bytes of memory. */
export function isAligned(buffer: Buffer, unit: number): boolean {
  return pages.has(buffer.buffer) && buffer.byteOffset % unit === 0
}

/** Buffers that are taken and given back. Who takes one while none is left waits, in turn. */
export class BufferPool {
  readonly #free: Buffer[]
  readonly #waiting: ((buffer: Buffer) => void)[] = []
  /** Milliseconds that takers have waited. */
  waited = 0

  constructor(count: number, length: number) {
    this.#free = alignedBuffers(count, length)
  }

  async take(): Promise<Buffer> {
    const free = this.#free.pop()
    if (free) return free
    const since = performance.now()
    const buffer = await new Promise<Buffer>((resolve) => this.#waiting.push(resolve))
    this.waited += performance.now() - since
    return buffer
  }

  give(buffer: Buffer): void {
    const next = this.#waiting.shift()
    if (next) next(buffer)
    else this.#free.push(buffer)
  }
}
