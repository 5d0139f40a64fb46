/** `gen` for all devices that one server has ports for. */
import { BenchServer, fleet } from '../fleet/server.ts'
import { measure, type Sample } from '../measure.ts'
import { figures } from '../row.ts'
import type { PlainScenario } from './scenario.ts'

/** Ports 20001 to 29999. */
const devices = 9999

export const fleetAllocate: PlainScenario = {
  name: 'fleet-allocate',
  about: `gen for ${devices} devices, on a server of its own (needs root)`,
  withoutImage: true,
  async run({ workplace, runs, most }) {
    const name = 'fleet-allocate'
    if (process.getuid?.() !== 0) return [{ name, notRun: 'a server in namespaces needs root' }]
    const count = Math.min(devices, most)
    const samples: Sample[] = []
    let subject: ReturnType<BenchServer['verb']> | undefined
    for (let run = 0; run < runs; run++) {
      const bench = await BenchServer.start(workplace)
      try {
        subject = bench.verb('gen', '--json', fleet, '192.0.2.1', `${count}`)
        samples.push(await measure(subject))
      } finally {
        await bench.stop()
      }
    }
    const about = `${count} devices by the verb, with its login: all that a server has ports for`
    const goal = { of: 'wall', atMost: 10_000 } as const
    return [{ name, ours: figures({ subject: subject!, samples }), goal, about }]
  },
}
