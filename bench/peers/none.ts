/** Peers that have no way to the same image, on any machine. */
import type { NotRun } from '../row.ts'

const reasons = {
  mkosi: 'installs packages into partitions of its own making; takes no stock image',
  bmaptool: 'makes block maps and writes images to devices; changes none',
}

export function peersWithNoWay(name: string): NotRun[] {
  return Object.entries(reasons).map(([beside, notRun]) => ({ name, beside, notRun }))
}
