/** A renderer shows events. Nothing else in this program prints. */
import type { Emit } from '../../engine/events.ts'

export interface Renderer {
  emit: Emit
  /** Leaves the terminal as it found it. */
  close(): void
}
