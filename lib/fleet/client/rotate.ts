/**
 * A new key for the tunnel of a device, in an order in which one key works at every moment: the server takes the new key
 * beside the old one, the device proves it by a login, it takes the old one's place, the device is reached through a
 * tunnel that was made with it, and only then the server forgets the old one.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { FleetsieError } from '../../errors.ts'
import { publicKeyPattern } from '../names.ts'
import type { RotateReply, RotateRequest } from '../server/protocol.ts'

export interface RotationTools {
  /** Asks the server. */
  server(step: RotateRequest['step'], key: string): Promise<RotateReply>
  /** Runs a step of units/fleetsie_rotate on the device. */
  device(...step: string[]): Promise<{ code: number; stdout: string; stderr: string }>
  signal: AbortSignal
  /** Seconds after which the device takes its old key again, unless it was reached. */
  patience?: number
  /** Milliseconds between attempts to reach it. */
  every?: number
}

/** `keep` came before the tunnel was started anew. */
const notYet = 75

/** Gives `hostname` a new key. Fails with E_STAGE or E_VERIFY, the old key then working, or with both accepted. */
export async function rotate(hostname: string, tools: RotationTools): Promise<{ key: string }> {
  const { device, server } = tools
  const made = await said(device('new', hostname))
  const old = keyIn(made, 'current')
  const key = keyIn(made, 'new')
  try {
    await server('add', key)
    const proof = await device('prove')
    if (proof.code !== 0 || proof.stdout.trim() !== `ok ${hostname}`) {
      throw new FleetsieError('E_VERIFY', `the new key of ${hostname} cannot log in: ${reason(proof)}`, {
        hint: 'nothing has changed: the old key goes on working',
      })
    }
    tools.signal.throwIfAborted()
  } catch (error) {
    await forget(key, tools)
    throw error
  }
  const run = randomBytes(8).toString('hex')
  await change(hostname, { old, key, run }, tools)
  await server('finish', key)
  return { key }
}

interface Change {
  old: string
  key: string
  run: string
}

/** Lets the device change to the new key, until it is reached by it. */
async function change(hostname: string, { old, key, run }: Change, tools: RotationTools): Promise<void> {
  const { patience = 180, every = 2000, signal } = tools
  await said(tools.device('switch', run, String(patience)))
  // It needs this long to notice, and to come back, when it takes its old key again.
  const until = performance.now() + (patience + 60) * 1000
  let last = 'it did not come back'
  while (performance.now() < until) {
    await wait(every, undefined, { signal })
    const kept = await tools.device('keep', run).catch((error: Error) => failed(error))
    signal.throwIfAborted()
    if (kept.code === 0 && keyIn(kept.stdout, 'current') === key) return
    if (kept.code === notYet) continue
    last = reason(kept)
    const now = await tools.device('current').catch((error: Error) => failed(error))
    if (now.code === 0 && keyIn(now.stdout, 'current') === old) {
      await forget(key, tools)
      throw new FleetsieError(
        'E_VERIFY',
        `${hostname} took its old key again: its tunnel did not come back`,
        {
          hint: 'the old key goes on working; try it again',
        },
      )
    }
  }
  throw new FleetsieError('E_STAGE', `${hostname} was not reached after its change of keys: ${last}`, {
    hint: `the server takes both keys until you run it again: fleetsie rotate ${hostname}`,
  })
}

/** As it was before. Who is not reached now keeps a file that nobody uses, or a key that nobody has. */
async function forget(key: string, { server, device }: RotationTools): Promise<void> {
  await Promise.allSettled([server('cancel', key), device('drop')])
}

async function said(step: ReturnType<RotationTools['device']>): Promise<string> {
  const answer = await step
  if (answer.code === 0) return answer.stdout
  throw new FleetsieError('E_STAGE', `the device could not do it: ${reason(answer)}`)
}

function keyIn(text: string, name: string): string {
  const key = new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1] ?? ''
  if (publicKeyPattern.test(key)) return key
  throw new FleetsieError('E_STAGE', `the device told no ${name} key`)
}

function failed({ message }: Error): { code: number; stdout: string; stderr: string } {
  return { code: 255, stdout: '', stderr: message }
}

function reason({ code, stderr, stdout }: { code: number; stderr: string; stdout: string }): string {
  const line = stderr.trim().split('\n').at(-1) || stdout.trim().slice(0, 100)
  return line ? line.slice(0, 300) : `exit code ${code}`
}
