/** The way without any builder: a shell script. */
import { join } from 'node:path'
import type { Peer } from './peer.ts'
import { limit } from './peer.ts'

export const seed: Peer = {
  name: 'shell script',
  ready: async ({ workplace, stock, overlays, folder }) => {
    const output = join(folder, 'out.img.xz')
    const args = [join(workplace.checkout, 'bench/seed.sh'), stock.path, overlays, output]
    return { subject: { command: 'sh', args, cwd: folder, env: workplace.env, limit }, output }
  },
}
