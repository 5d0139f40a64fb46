/** Devices that are switched on together, beside as many logins that do nothing. */
import { availableParallelism } from 'node:os'
import type { Done } from '../fleet/clients.ts'
import { BenchServer, claims, type Disk, sshArguments } from '../fleet/server.ts'
import type { Sample } from '../measure.ts'
import { compared } from '../row.ts'
import type { PlainScenario } from './scenario.ts'

const devices = 1000
/** Clients share the processors with sshd: more would only pass its LoginGraceTime while they wait for their turn. */
const parallel = 100 * availableParallelism()

export const fleetStorm: PlainScenario = {
  name: 'fleet-storm',
  about: `${devices} devices switched on together against one sshd (needs root)`,
  withoutImage: true,
  async run({ workplace, runs, most, say }) {
    const name = 'fleet-storm'
    const beside = 'logins with /bin/true'
    if (process.getuid?.() !== 0) return [{ name, beside, notRun: 'a server in namespaces needs root' }]
    const count = Math.min(devices, most)
    const bench = await BenchServer.start(workplace)
    try {
      const all: { ours: Done[]; peer: Done[] } = { ours: [], peer: [] }
      // Each takes minutes.
      for (let run = 1; run <= Math.min(runs, 2); run++) {
        const disk = await bench.gen(count)
        const user = await userOfTrue(bench, disk)
        const both = { parallel: Math.min(parallel, count), inputs: claims(disk) }
        const [ours, others] = [sshArguments(disk, disk.key), sshArguments(disk, disk.key, user)]
        all.ours.push(await bench.clients({ ...both, args: ours, answer: 'Ok\n' }))
        all.peer.push(await bench.clients({ ...both, args: others, answer: '' }))
        say(`run ${run}: ${tell(all.ours.at(-1)!)}, beside ${tell(all.peer.at(-1)!)}`)
      }
      const lost = all.ours.find((done) => done.lost > 0)
      if (lost) throw new Error(`${lost.lost} devices were not provisioned: ${lost.said}`)
      const subject = bench.verb('gen')
      const side = (done: readonly Done[]) => ({ subject, samples: done.map(sampleOf) })
      return [
        compared({
          name,
          beside,
          ours: side(all.ours),
          peer: side(all.peer),
          paired: true,
          goal: { of: 'ratio', atMost: 1.5 },
          about: `${count} devices, ${Math.min(parallel, count)} clients at a time on the server's own processors; none lost, repeated ${all.ours.map((done) => done.repeated).join(', ')} (beside ${all.peer.map((done) => done.repeated).join(', ')})`,
        }),
      ]
    } finally {
      await bench.stop()
    }
  },
}

const tell = ({ wall, repeated, lost, said }: Done): string =>
  `${Math.round(wall)} ms, ${repeated} repeated, ${lost} lost${said === '' ? '' : ` (${said.trim()})`}`

const sampleOf = ({ wall }: Done): Sample => ({ wall, stdout: '' })

/** A user under the same rules of sshd, whose forced command does nothing. */
async function userOfTrue({ server }: BenchServer, { publicKey }: Disk): Promise<string> {
  const user = 'fleetsie_true'
  const script = `set -eu
id "$1" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --groups fleetsie-fleets "$1"
install -d -m 700 -o "$1" "/home/$1/.ssh"
echo "command=\\"/bin/true\\",restrict $2" >"/home/$1/.ssh/authorized_keys"`
  await server.does('sh', '-c', script, 'sh', user, publicKey)
  return user
}
