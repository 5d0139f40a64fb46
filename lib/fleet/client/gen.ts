/**
 * `gen`: asks the fleet's server for devices and makes a disk of what it answers. The order makes it repeatable: the
 * disk has its key before the server hears of it, the server knows the request's id before it allocates, and the id is
 * forgotten when the disk is whole.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Run } from '../../engine/process.ts'
import { errorCodes, FleetsieError } from '../../errors.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { type DiskContents, entriesOf, readContents } from '../disk/contents.ts'
import { nextKeyName } from '../disk/layout.ts'
import type { DiskPlace } from '../disk/place.ts'
import { type BundleFile, needed, planDisk, readBack, roomFor } from '../disk/plan.ts'
import { type GenReply, type GenRequest, genReply } from '../server/protocol.ts'
import { BrokenOff, callServer } from './call.ts'
import { clockWarning } from './clock.ts'
import { type DiskKey, makeDiskKey, readDiskKey } from './disk-key.ts'
import { rememberHost } from './fleet-folder.ts'
import { ensureLoginCa } from './login-ca.ts'
import { type PendingRequest, pendingRequest } from './requests.ts'

export interface GenOrder {
  fleet: string
  /** As the user named it: `HOST` or `HOST:PORT`. */
  server: string
  /** How many devices to allocate; 0: none. */
  num: number
  disk: DiskPlace | undefined
  /** What the disk gets that is no secret. */
  bundle: readonly BundleFile[]
  /** Unix seconds; null: the disk can claim until it is revoked. */
  expires: number | null
  /** Whether devices of the two-line form get keys; undefined: as it was. */
  serverKeys: boolean | undefined
}

export interface GenTools {
  /** Logs in as fleetsie@HOST; again when that connection broke. */
  connect(): Promise<Host>
  run: Run
  env: Readonly<Record<string, string | undefined>>
  signal: AbortSignal
  note(line: string): void
  warn(line: string): void
  /** What is waited for now. */
  step(name: string, because: string): { done(action: 'applied' | 'unchanged', because: string): void }
}

export interface GenOutcome {
  reply: GenReply
  /** `files`: those that were written, for they differed. */
  disk?: { lot: string; devices: number; files: string[] }
}

/**
 * Allocates devices and brings the disk in step with the server; the same order again goes on where this one was cut off.
 * Fails as `callServer` says, with E_INPUT where the disk has no room, and with E_VERIFY where it does not give back what
 * was written.
 */
export async function generate(order: GenOrder, tools: GenTools): Promise<GenOutcome> {
  const { fleet, server, disk } = order
  const contents = disk && (await readContents(disk, tools.warn))
  const session = new ServerSession(tools)
  try {
    const host = await session.host()
    const { line } = await ensureLoginCa(tools.run, tools.env, { fleet, host: server })
    const target = disk && contents && (await prepareDisk(disk, contents, host, order, tools))
    const pending = await pendingRequest(tools.env, [fleet, server, String(order.num), target?.key.lot ?? ''])
    if (pending.since) {
      tools.note(`going on with the call of ${pending.since.toISOString()}, which did not end well`)
    }
    const reply = await ask(session, requestOf(order, line, pending, target), tools).catch(
      async (error: unknown) => {
        if (isRefusal(error)) await forget(pending, target, tools)
        throw error
      },
    )
    const skew = reply.now === undefined ? undefined : clockWarning(reply.now, Date.now())
    if (skew !== undefined) tools.warn(skew)
    const made = target && (await writeDisk(target, reply, order, tools))
    await pending.done()
    // A name without a device may be mistyped.
    if (reply.generated.length + reply.unclaimed > 0) await rememberHost(tools.env, { fleet, host: server })
    return { reply, ...(made ? { disk: made } : {}) }
  } finally {
    await session.close()
  }
}

/** The server said no before it did anything. */
function isRefusal(error: unknown): boolean {
  return error instanceof FleetsieError && error.exitCode === errorCodes.E_INPUT.exit
}

/** Leaves nothing to go on with. */
async function forget(
  pending: PendingRequest,
  target: TargetDisk | undefined,
  { signal }: GenTools,
): Promise<void> {
  await pending.done()
  if (target?.newKey !== undefined) await target.place.apply([{ do: 'remove', name: target.newKey }], signal)
}

/** The connection of the moment. */
class ServerSession {
  readonly #tools: GenTools
  #host: Host | undefined

  constructor(tools: GenTools) {
    this.#tools = tools
  }

  async host(): Promise<Host> {
    this.#host ??= await this.#tools.connect()
    return this.#host
  }

  async close(): Promise<void> {
    const host = this.#host
    this.#host = undefined
    await host?.close()
  }
}

interface TargetDisk {
  place: DiskPlace
  contents: DiskContents
  key: DiskKey
  host: string
  knownHost: string
  /** It is of this fleet on this server already. */
  same: boolean
  /** The file of a key that the server has not heard of. */
  newKey: string | undefined
}

/** Reads or makes the disk's key, and puts a new one on the disk. */
async function prepareDisk(
  place: DiskPlace,
  contents: DiskContents,
  { host: name, port, hostKey }: Host,
  { fleet, num, bundle }: GenOrder,
  tools: GenTools,
): Promise<TargetDisk> {
  const bracketed = name.includes(':') ? `[${name}]` : name
  const host = port === 22 ? name : `${bracketed}:${port}`
  const knownName = port === 22 ? name : `[${name}]:${port}`
  const knownHost = `${knownName} ${hostKey.type} ${hostKey.base64}`
  const { of } = contents
  const same = of !== undefined && of.fleet === fleet && of.host === host
  if (of && !same) {
    tools.warn(
      `${place.name} was a disk of ${of.fleet} on ${of.host}: its ${contents.has.length} unclaimed devices stay on that server`,
    )
  }
  // As far as anybody can tell before the server has answered.
  const guess = [{ do: 'write' as const, name: '', bytes: Buffer.alloc(0) }]
  const files = [...bundle.map(({ bytes }) => bytes.length), 2 * 300 * (num + contents.has.length)]
  await expectRoom(place, roomFor(guess) * 8 + files.reduce((sum, bytes) => sum + bytes, 0))
  const keys = await keyFor(place, contents, same, { fleet, host }, tools)
  return { place, contents, ...keys, host, knownHost, same }
}

async function keyFor(
  place: DiskPlace,
  contents: DiskContents,
  same: boolean,
  of: { fleet: string; host: string },
  { run, signal, warn }: GenTools,
): Promise<{ key: DiskKey; newKey: string | undefined }> {
  if (same && contents.key) {
    const key = await readDiskKey(run, contents.key)
    if (key) return { key, newKey: undefined }
    warn(`${place.name}: its key cannot be used; it gets a new one`)
  }
  const name = nextKeyName(of.fleet, of.host)
  const waiting = await place.read(name, 64 * 1024)
  const kept = waiting && (await readDiskKey(run, waiting))
  if (kept) return { key: kept, newKey: name }
  const key = makeDiskKey(`fleetsie_${of.fleet}@${of.host}`)
  await place.apply([{ do: 'write', name, bytes: key.private }], signal)
  return { key, newKey: name }
}

async function expectRoom(place: DiskPlace, bytes: number): Promise<void> {
  const free = await place.free()
  if (free >= bytes) return
  throw new FleetsieError('E_INPUT', `${place.name} has ${free} bytes free, and ${bytes} are needed`, {
    hint: 'make room on it; the same command goes on then',
  })
}

function requestOf(
  { fleet, num, expires, serverKeys }: GenOrder,
  loginKey: string,
  { id }: PendingRequest,
  target: TargetDisk | undefined,
): GenRequest {
  const { claimed, has } = target?.same ? target.contents : { claimed: [], has: [] }
  return {
    ...{ do: 'gen', fleet, num, request: id, loginKey },
    ...(serverKeys === undefined ? {} : { serverKeys }),
    ...(target && { disk: { lot: target.key.lot, key: target.key.public, expires, claimed, has } }),
  }
}

const attempts = 3

/** Sends the request until there is an answer: with the same id, it is one call however often it is sent. */
async function ask(session: ServerSession, request: GenRequest, tools: GenTools): Promise<GenReply> {
  const because =
    request.num > 0
      ? `${request.num} ${request.num === 1 ? 'device is' : 'devices are'} to be allocated`
      : 'the databases are brought in step'
  const step = tools.step('server', because)
  for (let attempt = 1; ; attempt++) {
    try {
      const reply = await callServer(await session.host(), request, genReply, { signal: tools.signal })
      step.done('applied', because)
      return reply
    } catch (error) {
      if (attempt === attempts || tools.signal.aborted || !isCut(error)) throw error
      tools.warn(`${error.message}; the same request is sent again`)
      await session.close()
      await wait(attempt * 200, undefined, { signal: tools.signal })
    }
  }
}

/** Whether nobody knows what became of the request. */
function isCut(error: unknown): error is FleetsieError {
  if (error instanceof BrokenOff) return true
  return error instanceof FleetsieError && (error.code === 'E_IO' || error.code === 'E_TIMEOUT')
}

async function writeDisk(
  { place, contents, key, host, knownHost }: TargetDisk,
  { disk }: GenReply,
  { fleet, bundle }: GenOrder,
  { step, signal }: GenTools,
): Promise<NonNullable<GenOutcome['disk']>> {
  if (!disk) throw new FleetsieError('E_STAGE', 'the server did not say what the disk is to hold')
  const { length } = disk.devices
  const because = `${length} unclaimed ${length === 1 ? 'device goes' : 'devices go'} to ${place.name}`
  const writing = step('disk', because)
  // The names may be others by now: a new key is among them.
  const now = { ...contents, entries: await entriesOf(place) }
  const plan = await planDisk(now, { host, fleet, knownHost, key, devices: disk.devices, bundle })
  const changes = await needed(place, plan)
  await expectRoom(place, roomFor(changes))
  await place.apply(changes, signal)
  const wrong = await readBack(place, plan)
  if (wrong.length > 0) {
    throw new FleetsieError(
      'E_VERIFY',
      `${place.name} does not give back what was written: ${wrong.join(', ')}`,
      {
        hint: `it may be broken: \`fleetsie revoke ${fleet} --lot ${key.lot}\`, and take another`,
      },
    )
  }
  writing.done(changes.length > 0 ? 'applied' : 'unchanged', because)
  const files = changes.filter((change) => change.do === 'write').map(({ name }) => name)
  return { lot: key.lot, devices: disk.devices.length, files }
}
