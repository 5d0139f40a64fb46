/** Bytes that are put after each other, in one array that grows: many small parts would take many times their size. */
export class Output {
  private bytes = new Uint8Array(64 * 1024)
  private size = 0

  append(part: ArrayLike<number>): void {
    const end = this.size + part.length
    if (end > this.bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.bytes.length * 2))
      larger.set(this.bytes)
      this.bytes = larger
    }
    this.bytes.set(part, this.size)
    this.size = end
  }

  /** All of them; memory is shared. */
  finish(): Buffer {
    return Buffer.from(this.bytes.buffer, 0, this.size)
  }
}
