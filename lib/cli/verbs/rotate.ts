/** `rotate`: new keys for the tunnels of a device, or of all that are connected. */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../../engine/process.ts'
import { type FleetsieError, toFleetsieError } from '../../errors.ts'
import { callServer } from '../../fleet/client/call.ts'
import { withDeviceSteps } from '../../fleet/client/device-steps.ts'
import { type FleetPlace, findPlace, rememberHost } from '../../fleet/client/fleet-folder.ts'
import { listDevices } from '../../fleet/client/list.ts'
import { type OperatorLogin, operatorLogin } from '../../fleet/client/operator-login.ts'
import { rotate as rotateKey } from '../../fleet/client/rotate.ts'
import { parseDevice } from '../../fleet/names.ts'
import { type ListedDevice, type RotateRequest, rotateReply } from '../../fleet/server/protocol.ts'
import type { Host } from '../../hosts/ssh/types.ts'
import { expectOnline, findDevicePlace } from '../fleet/device-name.ts'
import { onFleetServer } from '../fleet/server.ts'
import type { Session } from '../session.ts'
import { temporaryRun } from '../temporary-run.ts'

interface RotateOptions {
  json?: boolean
  host?: string
  jobs: number
}

interface Job {
  session: Session
  host: Host
  place: FleetPlace
  login: OperatorLogin
  run: Run
}

export async function rotate(session: Session, name: string, options: RotateOptions): Promise<void> {
  await session.show(options)
  const one = parseDevice(name.split('@')[0]!) ? await findDevicePlace(name, options.host) : undefined
  const place = one?.place ?? (await findPlace(process.env, name, options.host))
  const { signal } = session
  await onFleetServer(session, place, (host) =>
    temporaryRun(signal, async (run, folder) => {
      const asked = { signal, ...(one && { device: one.idInFleet }) }
      const { devices: all, loginKey } = await listDevices(host, place.fleet, asked)
      await rememberHost(process.env, place)
      const devices = one ? all.map(expectOnline) : all.filter(isOnline)
      const known = await operatorLogin(run, process.env, place, loginKey)
      // The key of a device that nobody has seen before is taken for this once, and not kept.
      const knownHosts = join(folder, 'known_hosts')
      await copyFile(known.knownHosts, knownHosts).catch(() => {})
      const job = { session, host, place, login: { ...known, knownHosts }, run }
      tellFirst(session, devices.length)
      const failures = await inTurns(job, devices, options.jobs)
      if (!one) tellRest(session, all, devices.length - failures.length)
      if (failures[0]) throw failures[0]
    }),
  )
}

function isOnline(device: ListedDevice): boolean {
  return device.state === 'online'
}

/** Several at once; one that fails stops no other. */
async function inTurns(job: Job, devices: readonly ListedDevice[], jobs: number): Promise<FleetsieError[]> {
  const failures: FleetsieError[] = []
  const rest = devices.values()
  const worker = async (): Promise<void> => {
    for (const device of rest) {
      const { hostname } = device
      try {
        const { key } = await rotateOne(job, expectOnline(device))
        const text = `${hostname.padEnd(12)} has a new key`
        job.session.emit({ type: 'answer', text, data: { hostname, key } })
      } catch (error) {
        const failure = toFleetsieError(error)
        if (job.session.signal.aborted) throw failure
        failures.push(failure)
        if (devices.length > 1)
          job.session.emit({ type: 'warning', message: `${hostname}: ${failure.message}` })
      }
    }
  }
  await Promise.all(Array.from({ length: jobs }, worker))
  return failures
}

function rotateOne(
  { session, host, place, login, run }: Job,
  device: ListedDevice & { tunnel_port: number },
): Promise<{ key: string }> {
  const { hostname, tunnel_port: port, user } = device
  const reached = { hostname, port, user: user ?? undefined }
  return withDeviceSteps(host, { place, login, device: reached, run }, (step) =>
    rotateKey(hostname, {
      device: step,
      server: (what, key) => {
        const { fleet, id_in_fleet } = device
        const request: RotateRequest = { do: 'rotate', fleet, device: id_in_fleet, step: what, key }
        return callServer(host, request, rotateReply)
      },
      signal: session.signal,
    }),
  )
}

function tellFirst(session: Session, count: number): void {
  if (count === 0) return
  const what = count === 1 ? '1 device gets a new key' : `${count} devices get new keys`
  session.emit({ type: 'note', message: `${what}; the tunnel is started anew, which takes some seconds` })
}

function tellRest(session: Session, all: readonly ListedDevice[], done: number): void {
  const away = all.filter(({ state }) => state === 'claimed').map(({ hostname }) => hostname)
  const names = `${away.slice(0, 5).join(', ')}${away.length > 5 ? `, and ${away.length - 5} more` : ''}`
  const rest = away.length === 0 ? '' : `; not connected, and with their old keys: ${names}`
  const have = done === 1 ? '1 device has a new key' : `${done} devices have new keys`
  session.emit({ type: 'answer', text: have + rest, data: { done, away } })
}
