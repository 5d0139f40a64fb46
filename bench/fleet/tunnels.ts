/**
 * Keeps tunnels open as many devices do: an OpenSSH client for each, started again when it ends. A process of its own,
 * inside the server's network: reads one JSON object on stdin, a line, and ends with all of them when stdin does.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Tunnels {
  /** How each one calls ssh. */
  devices: string[][]
}

/** units/ssh-tunnel.service: RestartSec, and what units/ssh_tunnel.sh adds at random. */
const restartMs = 5_000
const jitterMs = 9_000

const running = new Set<ChildProcess>()

function keep(args: string[]): void {
  // ssh would end with its stdin, which stays open.
  const ssh = spawn('ssh', args, { stdio: ['pipe', 'ignore', 'inherit'] })
  running.add(ssh)
  ssh.once('close', () => {
    running.delete(ssh)
    setTimeout(() => keep(args), restartMs + Math.random() * jitterMs)
  })
}

const lines = createInterface({ input: process.stdin })
lines.once('line', (line) => {
  const { devices } = JSON.parse(line) as Tunnels
  for (const args of devices) keep(args)
})
lines.once('close', () => {
  for (const ssh of running) ssh.kill()
  process.exit()
})
