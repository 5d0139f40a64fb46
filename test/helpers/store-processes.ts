/** Starts the process of store-process.ts. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('./store-process.ts', import.meta.url))

export interface StoreProcess {
  child: ChildProcessByStdio<Writable, Readable, Readable>
  /** The next line that it prints; undefined at its end. */
  line(): Promise<string | undefined>
  /** Lets it go on, and waits for its end. */
  end(): Promise<{ code: number | null; signal: NodeJS.Signals | null; stderr: string }>
}

export function startStoreProcess(
  args: string[],
  options: { env?: Record<string, string>; uid?: number; gid?: number } = {},
): StoreProcess {
  const { env, ...user } = options
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...user,
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    line: async () => {
      const { value, done } = await lines.next()
      return done ? undefined : value
    },
    end: async () => {
      child.stdin.on('error', () => {}).end()
      const [code, signal] = await closed
      return { code, signal, stderr }
    },
  }
}
