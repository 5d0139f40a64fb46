/** A bar that fills from the left. */

/** `share` from 0 to 1. */
export function bar(share: number, width = 20): string {
  return '█'.repeat(Math.round(Math.min(1, Math.max(0, share)) * width)).padEnd(width, '░')
}
