/** Writes what each partition's tree begins with, and finds the places in it that a run mounts something over. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ExtReader } from '../ext/reader.ts'
import { FatReader } from '../fat/reader.ts'
import { type Window, withWindow } from '../window.ts'
import { type Architecture, architectureOf } from './architecture.ts'
import { locate } from './inside.ts'
import type { Prepared } from './prepare.ts'
import type { Mounted } from './root.ts'
import type { Sandbox, SandboxPart } from './sandbox.ts'
import { type SeedFile, seedEntries, wholeTree, writeTar } from './seed.ts'

export interface Seeded {
  parts: SandboxPart[]
  places: Sandbox['places']
  architecture: Architecture
  /** What was put into the root filesystem for the run alone. */
  ours: Map<string, Buffer | 'folder'>
}

/** invoke-rc.d(8) asks it, and so does systemd's helper for packages: no service is started. */
const noServices = Buffer.from('#!/bin/sh\nexit 101\n')

/** `files`: by partition, those of the stage. */
export async function seedParts(
  { disk, mounted }: Prepared,
  files: ReadonlyMap<number, readonly SeedFile[]>,
  folder: string,
  network: boolean,
): Promise<Seeded> {
  const parts: SandboxPart[] = []
  let seeded: Omit<Seeded, 'parts'> | undefined
  for (const one of mounted) {
    const its = files.get(one.partition.number) ?? []
    const place = join(folder, `${one.partition.number}`)
    for (const name of ['lower', 'up']) await mkdir(join(place, name), { recursive: true })
    await withWindow(disk, one.partition, 'r', async (window) => {
      const file = join(place, 'seed.tar')
      if (one.kind === 'fat') {
        await writeTar(file, wholeTree(new FatReader(window), its))
        parts.push({ ...one, top: { mode: 0o755, uid: 0, gid: 0 } })
        return
      }
      parts.push(partOf(one, window))
      const volume = new ExtReader(window)
      if (one.at === '') {
        const { own, folders, ...rest } = ownNeeds(volume, its, network)
        seeded = rest
        await writeTar(file, seedEntries(volume, [...its, ...own], folders))
      } else {
        await writeTar(file, seedEntries(volume, its, []))
      }
    })
  }
  return { ...seeded!, parts }
}

function partOf(one: Mounted, window: Window): SandboxPart {
  const volume = new ExtReader(window)
  const { mode, uid, gid } = volume.node(volume.rootId)
  return { ...one, top: { mode, uid, gid } }
}

function ownNeeds(volume: ExtReader, files: readonly SeedFile[], network: boolean) {
  const ours = new Map<string, Buffer | 'folder'>()
  const own: SeedFile[] = []
  const folders: string[] = []
  const mountPoint = (name: string): string => {
    const { path, id } = locate(volume, name)
    if (id === undefined) {
      folders.push(path)
      ours.set(path, 'folder')
    }
    return path
  }
  const add = (path: string, mode: number, bytes: Buffer): void => {
    if (files.some((file) => file.path === path)) return
    own.push({ path, mode, content: { bytes } })
    ours.set(path, bytes)
  }
  const [proc, dev, run, tmp] = ['proc', 'dev', 'run', 'tmp'].map(mountPoint) as [
    string,
    string,
    string,
    string,
  ]
  const resolv = locate(volume, 'etc/resolv.conf')
  if (network && resolv.id === undefined && !resolv.path.startsWith(`${run}/`)) {
    add(resolv.path, 0o644, Buffer.alloc(0))
  }
  const sbin = locate(volume, 'usr/sbin')
  if (sbin.id !== undefined && volume.node(sbin.id).type === 'directory') {
    add(`${sbin.path}/policy-rc.d`, 0o755, noServices)
  }
  const places = { proc, dev, run, tmp, resolv: resolv.path }
  return { ours, own, folders, places, architecture: architectureOf(volume) }
}
