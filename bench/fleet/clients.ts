/**
 * Runs many OpenSSH clients, a limited number at a time, each until it has succeeded, and tells how long all of them took.
 * A process of its own, inside the server's network: reads one JSON object on stdin, writes one on stdout.
 */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

export interface Order {
  /** How many at once. */
  parallel: number
  /** What all of them have. */
  args: string[]
  /** What each one says: it gets `answer` as the beginning of what it hears. */
  inputs: string[]
  answer: string
}

export interface Done {
  /** Milliseconds until the last one had its answer. */
  wall: number
  /** Tries that failed and were repeated. */
  repeated: number
  /** Clients that gave up. */
  lost: number
  /** Why, of the last that failed. */
  said: string
}

/** As a device does: units/provision/claim.sh. */
const tries = 20
const longestWait = 60

async function client({ args, answer }: Order, input: string, done: Done): Promise<void> {
  for (let failures = 1; failures <= tries; failures++) {
    const { code, stdout, stderr } = await ssh(args, input)
    if (code === 0 && stdout.startsWith(answer)) return
    done.said = `exit ${code}: ${stderr}${stdout}`.slice(0, 400)
    done.repeated++
    const longest = Math.min(longestWait, 2 ** failures)
    await new Promise((resolve) => setTimeout(resolve, 500 * longest * (1 + Math.random())))
  }
  done.lost++
}

function ssh(
  args: string[],
  input: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('ssh', args)
    const ended = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (said: string) => {
      ended.stdout += said
    })
    child.stderr.setEncoding('utf8').on('data', (said: string) => {
      ended.stderr += said
    })
    // The exit code tells why nobody listens.
    child.stdin.on('error', () => {}).end(input)
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...ended }))
  })
}

const order = JSON.parse(await text(process.stdin)) as Order
const done: Done = { wall: 0, repeated: 0, lost: 0, said: '' }
const waiting = order.inputs.values()
const started = performance.now()
const worker = async (): Promise<void> => {
  for (const input of waiting) await client(order, input, done)
}
await Promise.all(Array.from({ length: order.parallel }, worker))
done.wall = performance.now() - started
process.stdout.write(JSON.stringify(done))
