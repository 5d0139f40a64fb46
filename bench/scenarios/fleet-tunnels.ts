/** Tunnels that one sshd holds, and how soon they are back when it was started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { newEd25519Key } from '../../lib/formats/ed25519.ts'
import { privateKeyFile, publicKeyLine } from '../../lib/formats/openssh-key.ts'
import { ourForm } from '../../test/helpers/claims.ts'
import type { FleetServer } from '../../test/helpers/fleet-server.ts'
import { parseKeyLine } from '../../test/helpers/key-lines.ts'
import { BenchServer, fleet, sshArguments } from '../fleet/server.ts'
import type { Tunnels } from '../fleet/tunnels.ts'
import type { Sample } from '../measure.ts'
import { figures } from '../row.ts'
import type { PlainScenario } from './scenario.ts'

const devices = 200
const share = 0.95
/** Milliseconds. */
const limit = 300_000
const every = 250

export const fleetTunnels: PlainScenario = {
  name: 'fleet-tunnels',
  about: `${devices} tunnels held by one sshd, which is started again (needs root)`,
  withoutImage: true,
  async run({ workplace, runs, most }) {
    const name = 'fleet-tunnels, back'
    if (process.getuid?.() !== 0) return [{ name, notRun: 'a server in namespaces needs root' }]
    const count = Math.min(devices, most)
    const bench = await BenchServer.start(workplace)
    const { server } = bench
    let driver: ChildProcess | undefined
    try {
      const tunnels = await claimed(bench, join(workplace.root, 'tunnels'), count)
      const before = await memory(server)
      driver = start(server, tunnels)
      await open(server, count)
      const each = ((await memory(server)) - before) / count
      const ofDevice = (await memoryOfChildren(driver.pid!)) / count
      const samples: Sample[] = []
      for (let run = 0; run < Math.min(runs, 3); run++) {
        const started = performance.now()
        await server.restartSshd()
        await open(server, Math.ceil(count * share))
        samples.push({ wall: performance.now() - started, peak: each, stdout: '' })
        // A restart is one of all of them.
        await open(server, count)
      }
      const subject = { command: 'ssh', args: tunnels.devices[0]!, cwd: workplace.root, env: {} }
      const about = `${share * 100} % of ${count} tunnels; our peak: memory (PSS) of the server for each; ${(ofDevice / 1e6).toFixed(1)} MB on the device`
      return [{ name, ours: figures({ subject, samples }), goal: { of: 'wall', atMost: 60_000 }, about }]
    } finally {
      driver?.stdin?.end()
      await bench.stop()
    }
  },
}

/** Devices with keys of their own, which have claimed their places. */
async function claimed(bench: BenchServer, folder: string, count: number): Promise<Tunnels> {
  await mkdir(folder)
  const disk = await bench.gen(count)
  const keys = new Map<string, string>()
  const inputs: string[] = []
  for (const [id, otp] of disk.otps) {
    const { file, line } = await makeKey(join(folder, `${id}`))
    keys.set(line, file)
    inputs.push(ourForm(id, otp, line))
  }
  const parallel = Math.min(count, 20 * availableParallelism())
  const done = await bench.clients({ parallel, args: sshArguments(disk, disk.key), inputs, answer: 'Ok\n' })
  if (done.lost > 0) throw new Error(`${done.lost} devices were not provisioned: ${done.said}`)
  const known = await bench.server.does('cat', `/home/fleetsie_${fleet}/.ssh/authorized_keys`)
  const parsed = known.split('\n').map(parseKeyLine)
  const lines = parsed.flatMap((line) => (line?.kind === 'device' ? [line] : []))
  return {
    devices: lines.map(({ key, port = 0 }) => [...tunnel(port), ...sshArguments(disk, keys.get(key)!)]),
  }
}

/** As units/ssh_tunnel.sh has it, without the way to zabbix: all devices are one machine here, and one port. */
function tunnel(port: number): string[] {
  const forward = ['-R', `localhost:${port}:localhost:22`]
  return [
    ...forward,
    '-o',
    'ExitOnForwardFailure=yes',
    '-o',
    'ControlPath=none',
    '-o',
    'ServerAliveCountMax=3',
  ]
}

async function makeKey(file: string): Promise<{ file: string; line: string }> {
  const key = newEd25519Key()
  await writeFile(file, privateKeyFile({ ...key, comment: 'bench', check: 1 }), { mode: 0o600 })
  return { file, line: publicKeyLine(key.publicKey) }
}

function start(server: FleetServer, tunnels: Tunnels): ChildProcess {
  const script = join(import.meta.dirname, '../fleet/tunnels.ts')
  const [command, args] = server.enter([process.execPath, '--import', 'tsx', script])
  // What ssh says when sshd goes away is no news.
  const driver = spawn(command, args, { cwd: import.meta.dirname, stdio: ['pipe', 'ignore', 'ignore'] })
  driver.stdin.write(`${JSON.stringify(tunnels)}\n`)
  return driver
}

/** Waits until so many devices' ports are open on the server: nothing there tells. */
async function open(server: FleetServer, wanted: number): Promise<void> {
  for (const started = performance.now(); ; await setTimeout(every)) {
    const listening = (await server.does('ss', '-Hltn')).match(/127\.0\.0\.1:2\d{4}\b/g) ?? []
    if (listening.length >= wanted) return
    if (performance.now() - started > limit)
      throw new Error(`only ${listening.length} of ${wanted} tunnels are open`)
  }
}

const pss = (text: string): number =>
  [...text.matchAll(/^Pss:\s+(\d+) kB$/gm)].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0)

/** Bytes: what all processes of the server have, each page shared among those that have it. */
async function memory(server: FleetServer): Promise<number> {
  return pss((await server.run(['sh', '-c', 'cat /proc/[0-9]*/smaps_rollup'])).stdout)
}

/** The same of the processes that one has started. */
async function memoryOfChildren(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
  const texts = await Promise.all(children.map((child) => readFile(`/proc/${child}/smaps_rollup`, 'utf8')))
  return pss(texts.join('\n'))
}
