/** `gen`: devices for a fleet, and the disk or zip that they claim their places with. */
import { join, resolve } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { FleetsieError } from '../../errors.ts'
import { serverProgram } from '../../fleet/client/call.ts'
import { type GenOrder, type GenOutcome, type GenTools, generate } from '../../fleet/client/gen.ts'
import { ownBundle } from '../../fleet/disk/bundle.ts'
import { findDisk } from '../../fleet/disk/find.ts'
import type { DiskPlace } from '../../fleet/disk/place.ts'
import { copyOf, zipPlace } from '../../fleet/disk/zip.ts'
import { checkFleet, checkNum, parseFleetHost } from '../../fleet/names.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { callerHome, callerOf } from '../../images/caller.ts'
import { logIn } from '../fleet/server.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

export interface GenOptions {
  json?: boolean
  /** Milliseconds, or never. */
  expires: number | 'never'
  serverKeys?: boolean
  /** A file, or nothing: the documented name in this folder. */
  zip?: string
  unmount?: boolean
  yesReally?: boolean
}

export async function gen(
  session: Session,
  [fleet, server, third, fourth]: readonly (string | undefined)[],
  options: GenOptions,
): Promise<void> {
  await session.show({ json: options.json })
  checkFleet(fleet!)
  if (server!.includes('@')) {
    throw new FleetsieError('E_USAGE', `${JSON.stringify(server)} names a user: gen logs in as fleetsie`, {
      hint: `only the host: ${server!.slice(server!.lastIndexOf('@') + 1)}`,
    })
  }
  parseFleetHost(server!)
  const { num, disk } = numAndDisk(third, fourth)
  await temporaryRun(session.signal, async (run) => {
    const connect = await connector(session, server!)
    const isTrial = num === undefined && disk === undefined
    if (isTrial && options.zip === undefined && options.serverKeys === undefined) {
      return verifyLogin(session, connect)
    }
    const order = { fleet: fleet!, server: server!, num: num ?? 0, serverKeys: options.serverKeys }
    await make({ session, options, order, run, connect }, disk)
  })
}

/** A third argument of digits is NUM, anything else the disk. */
function numAndDisk(third?: string, fourth?: string): { num?: number; disk?: string } {
  if (third === undefined) return {}
  const isNum = /^\d+$/.test(third)
  if (!isNum && fourth !== undefined) {
    throw new FleetsieError('E_USAGE', `${JSON.stringify(third)} is no number of devices`, {
      hint: 'fleetsie_gen FLEET_NAME FLEET_HOST [NUM] [USB_PARTITION]',
    })
  }
  const disk = isNum ? fourth : third
  if (disk === '') throw new FleetsieError('E_USAGE', 'which disk? Its name is empty')
  return { ...(isNum ? { num: checkNum(third) } : {}), ...(disk === undefined ? {} : { disk }) }
}

async function connector(session: Session, server: string): Promise<() => Promise<Host>> {
  // A partition takes sudo; the login is the user's all the same.
  const env = { ...process.env, HOME: await callerHome(process.env) }
  return () => logIn(session, `fleetsie@${server}`, env)
}

/** FLEET_NAME and FLEET_HOST alone: nothing is changed. */
async function verifyLogin(session: Session, connect: () => Promise<Host>): Promise<void> {
  const host = await connect()
  try {
    const { code } = await host.run(['test', '-x', serverProgram], { signal: session.signal })
    const { fingerprint } = host.hostKey
    session.emit({
      type: 'answer',
      text: `logging in to ${host.name} works; its host key is ${fingerprint}`,
      data: { server: host.name, hostKey: fingerprint, ready: code === 0 },
    })
    if (code !== 0) {
      const message = `it has no ${serverProgram} yet: fleetsie srv USER@${host.host} sets it up`
      session.emit({ type: 'warning', message })
    }
  } finally {
    await host.close()
  }
}

interface Job {
  session: Session
  options: GenOptions
  order: Omit<GenOrder, 'disk' | 'bundle' | 'expires'>
  run: Run
  connect(): Promise<Host>
}

async function make({ session, options, order, run, connect }: Job, disk: string | undefined): Promise<void> {
  const { unmount, yesReally, zip, expires, json } = options
  const cwd = process.cwd()
  const { env } = process
  const zipFile = zip === undefined ? undefined : resolve(cwd, zip || `${order.fleet}_files_for_usb_disk.zip`)
  const bundle = await ownBundle()
  let place: DiskPlace | undefined
  if (disk !== undefined) place = await findDisk(disk, { cwd, allowed: { unmount, yesReally }, run, env })
  else if (zipFile !== undefined) place = await zipPlace(zipFile, callerOf(env))
  try {
    await session.show({ json, live: true })
    const until = expires === 'never' ? null : Math.floor((Date.now() + expires) / 1000)
    const tools = { connect, run, env, signal: session.signal, ...telling(session, order.fleet) }
    const outcome = await generate({ ...order, disk: place, bundle, expires: until }, tools)
    if (place && zipFile && disk !== undefined) {
      const copy = await zipPlace(zipFile, callerOf(env), true)
      await copy.apply(await copyOf(place), session.signal)
    }
    tell(session, order, outcome, { place, zipFile, until })
  } finally {
    await place?.close()
  }
}

function telling(session: Session, fleet: string): Pick<GenTools, 'note' | 'warn' | 'step'> {
  return {
    note: (message) => session.emit({ type: 'note', message }),
    warn: (message) => session.emit({ type: 'warning', message }),
    step: (stage, because) => {
      const started = performance.now()
      session.emit({ type: 'start', target: fleet, stage, because })
      return {
        done: (action, why) => {
          const ms = Math.round(performance.now() - started)
          session.emit({ type: 'stage', target: fleet, stage, action, because: why, ms })
        },
      }
    },
  }
}

function tell(
  session: Session,
  { fleet, server }: Job['order'],
  { reply, disk }: GenOutcome,
  made: { place: DiskPlace | undefined; zipFile: string | undefined; until: number | null },
): void {
  for (const message of reply.warnings) session.emit({ type: 'warning', message })
  for (const device of reply.generated) {
    session.emit({ type: 'answer', text: `Generated device ${device.hostname}`, data: device })
  }
  const { place, zipFile, until } = made
  const day = until === null ? 'for ever' : `until ${new Date(until * 1000).toISOString().slice(0, 10)}`
  const count = reply.generated.length
  const lines = [
    `${fleet}: ${count} ${count === 1 ? 'device' : 'devices'} generated, ${reply.unclaimed} unclaimed in all`,
    ...(disk && place
      ? [
          `${place.name} has ${disk.devices} of them: lot ${disk.lot}, which can be claimed ${day}`,
          `next: put your networks' names and passwords into ${join('fleetsie', 'wifi.txt')} there,`,
          '      then plug it into each device',
        ]
      : reply.unclaimed > 0
        ? [`next: a disk or a zip for them: fleetsie gen ${fleet} ${server} sda1`]
        : []),
  ]
  session.emit({
    type: 'answer',
    text: lines.join('\n'),
    data: {
      fleet,
      generated: reply.generated.length,
      unclaimed: reply.unclaimed,
      ...(disk && place ? { disk: { name: place.name, ...disk, expires: until } } : {}),
      ...(zipFile === undefined ? {} : { zip: zipFile }),
    },
  })
  if (reply.unclaimed === 0) {
    const message = `no device of ${fleet} is unclaimed; if that is its name, this makes some:\nfleetsie gen ${fleet} ${server} 10`
    session.emit({ type: 'warning', message })
  }
  if (!disk || !place) return
  const revoke = `this ends that: fleetsie revoke ${fleet} --lot ${disk.lot}`
  if (!place.hasPermissions) {
    const message = `whoever holds ${place.name} can read it, and claim its devices ${day};\n${revoke}`
    session.emit({ type: 'warning', message })
  }
  if (zipFile !== undefined) {
    const message = `whoever has ${zipFile} can claim its devices ${day};\n${revoke}`
    session.emit({ type: 'warning', message })
  }
}
