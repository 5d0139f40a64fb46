/** Carries a diff out by mtools. */
import { mkdirSync, renameSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { FleetsieError } from '../../errors.ts'
import type { Creation, FolderChange } from '../tree/diff.ts'
import type { Staging } from '../tree/staging.ts'
import { shown, toBytes } from '../volume.ts'
import type { Window } from '../window.ts'
import { fatAttributes, fatTime, slotUnits } from './entries.ts'
import { literal, type Mtools } from './mtools.ts'
import { FatReader } from './reader.ts'

// None of them is allowed in an 8.3 name, so that a name of them gets a long entry, whatever its length.
const standInCharacters = ['+', '=', ';', ',']

export class FatEdit {
  private readonly mtools: Mtools
  private readonly window: Window
  private readonly staging: Staging
  private readonly tmp: string
  private readonly epoch: number
  private folders = 0

  constructor(given: { mtools: Mtools; window: Window; staging: Staging; tmp: string; epoch: number }) {
    this.mtools = given.mtools
    this.window = given.window
    this.staging = given.staging
    this.tmp = given.tmp
    this.epoch = given.epoch
  }

  async change(reader: FatReader, change: FolderChange): Promise<void> {
    const path = pathOf(reader, change.id)
    const victims = (folder: boolean): string[] =>
      change.removals
        .filter((removal) => removal.folder === folder)
        .map((removal) => pathOf(reader, removal.id))
    const locked = change.removals
      .filter((removal) => reader.fatNode(removal.id).entry.attributes & fatAttributes.readOnly)
      .map((removal) => pathOf(reader, removal.id))
    await this.mtools.each('mattrib', ['-r'], locked, this.epoch)
    await this.mtools.each('mdeltree', [], victims(true), this.epoch)
    await this.mtools.each('mdel', [], victims(false), this.epoch)
    const taken = new Set([...reader.list(change.id).keys()])
    await this.create(path, change.creations, taken)
  }

  private async create(path: string, creations: readonly Creation[], taken: Set<string>): Promise<void> {
    const plain = creations.filter(({ name }) => isAscii(name))
    await this.copy(
      path,
      plain.filter(({ node }) => node.type === 'file').map((creation) => ({ creation, name: creation.name })),
    )
    for (const creation of creations) {
      if (isAscii(creation.name)) {
        if (creation.node.type === 'directory') await this.makeFolder(path, creation, creation.name)
        continue
      }
      const names = new Set([...taken, ...plain.map(({ name }) => name)])
      const standIn = standInFor(creation.name, names)
      if (creation.node.type === 'file') await this.copy(path, [{ creation, name: standIn }])
      else await this.makeFolder(path, creation, standIn)
      this.rename(path, standIn, creation.name)
    }
  }

  private async makeFolder(path: string, creation: Creation, name: string): Promise<void> {
    const inner = `${path}${literal(name)}`
    await this.mtools.call('mmd', [inner], this.time(creation))
    await this.create(`${inner}/`, creation.below, new Set())
  }

  /** Files get their names from the host's: mcopy takes one name only for one file. */
  private async copy(path: string, files: readonly { creation: Creation; name: string }[]): Promise<void> {
    if (files.length === 0) return
    const hostFolder = `fat-${this.folders++}`
    const folder = join(this.tmp, hostFolder)
    mkdirSync(folder)
    for (const { creation, name } of files) {
      this.staging.setTime(creation.node.content!, this.time(creation))
      renameSync(this.staging.path(creation.node.content!), join(folder, name))
    }
    const names = files.map(({ name }) => `./${hostFolder}/${name}`)
    await this.mtools.each('mcopy', ['-m'], names, this.epoch, [path])
    for (const { creation, name } of files)
      renameSync(join(folder, name), this.staging.path(creation.node.content!))
    rmdirSync(folder)
  }

  private time({ node }: Creation): number {
    const { mtime } = node.attributes!
    return fatTime(mtime.seconds === 0 && mtime.nanoseconds === 0 ? this.epoch : mtime.seconds)
  }

  /**
   * mtools stores some names in the 8.3 form of one code page and drops what is beyond UTF-16's first plane. So a stand-in
   * of the same length is made, and here its long name's characters are exchanged; the short name and its sum stay.
   */
  private rename(path: string, standIn: string, name: string): void {
    const reader = new FatReader(this.window)
    const id = findPath(reader, `${path}${literal(standIn)}`)
    const { slots, entry } = reader.fatNode(id)
    const text = shown(name)
    if (slots.length !== Math.ceil(text.length / slotUnits.length)) {
      throw new FleetsieError(
        'E_STAGE',
        `mtools gave ${JSON.stringify(entry.name)} no long name of ${text.length} characters`,
      )
    }
    for (const [index, position] of slots.entries()) {
      const slot = this.window.read(position, 32)
      for (const [place, at] of slotUnits.entries()) {
        const unit = index * slotUnits.length + place
        if (unit < text.length) slot.writeUInt16LE(text.charCodeAt(unit), at)
      }
      this.window.write(position, slot)
    }
  }
}

function isAscii(name: string): boolean {
  return /^[\x20-\x7e]*$/.test(name)
}

function standInFor(name: string, taken: ReadonlySet<string>): string {
  const length = shown(name).length
  for (const character of standInCharacters) {
    const standIn = character.repeat(length)
    if (!taken.has(standIn)) return standIn
  }
  throw new FleetsieError(
    'E_UNSUPPORTED',
    `${JSON.stringify(shown(name))} cannot be written beside names that are all signs`,
  )
}

/** A path for mtools, by 8.3 names where they are plain: they have no characters that it could get wrong. */
function pathOf(reader: FatReader, id: number): string {
  let path = ''
  for (let at = id; at !== 0; ) {
    const { entry, parent } = reader.fatNode(at)
    const name = isAscii(entry.short) ? entry.short : shown(entry.name)
    path = `/${literal(name)}${path}`
    at = parent
  }
  return reader.node(id).type === 'directory' ? `::${path}/` : `::${path}`
}

function findPath(reader: FatReader, path: string): number {
  let id = 0
  const names = path
    .slice(2)
    .split('/')
    .filter((part) => part !== '')
    .map((part) => part.replace(/\\(.)/g, '$1'))
  for (const name of names) {
    const bytes = toBytes(name)
    const list = reader.list(id)
    const found =
      list.get(bytes) ?? [...list.values()].find((child) => reader.fatNode(child).entry.short === name)
    if (found === undefined)
      throw new FleetsieError('E_STAGE', `mtools did not create ${JSON.stringify(path)}`)
    id = found
  }
  return id
}
