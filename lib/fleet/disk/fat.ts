/** A provisioning disk that is a FAT partition which nobody has mounted, or a file that holds one. */
import { open } from 'node:fs/promises'
import { FleetsieError } from '../../errors.ts'
import { sizeOf } from '../../images/device-size.ts'
import { LiveFat } from '../../images/fat/live.ts'
import { names, olderNames } from './layout.ts'
import { type Change, type DiskPlace, type EntryType, topFolder } from './place.ts'

/**
 * Opens the device or file at `path`, for this process alone where it is a device. Fails with E_UNSAFE when somebody else
 * has it. Nothing is changed. `release` is called when it has been closed.
 */
export async function fatPlace(path: string, name: string, release: () => void): Promise<DiskPlace> {
  // Linux: of a block device, O_EXCL alone means that neither a mount nor another such opening gets in between.
  const excluding = 0o200
  const holder = await open(path, excluding).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EBUSY') throw cause
    throw new FleetsieError('E_UNSAFE', `${name} is in use by another program`, { cause })
  })
  try {
    const fat = new LiveFat(path, sizeOf(await holder.stat()), 'r+')
    return new FatPlace(fat, name, () => holder.close().finally(release))
  } catch (error) {
    await holder.close()
    throw error
  }
}

class FatPlace implements DiskPlace {
  readonly name: string
  readonly hasPermissions = false
  readonly #fat: LiveFat
  #release: (() => Promise<void>) | undefined

  constructor(fat: LiveFat, name: string, release: () => Promise<void>) {
    this.#fat = fat
    this.name = name
    this.#release = release
  }

  async list(folder: string): Promise<Map<string, EntryType>> {
    const found = this.#fat.list(`${topFolder}/${folder}`)
    return new Map([...found].map(([name, type]) => [name, type === 'directory' ? 'folder' : 'file']))
  }

  async read(name: string, limit: number): Promise<Buffer | undefined> {
    const path = `${topFolder}/${name}`
    const size = this.#fat.size(path)
    if (size === undefined) return undefined
    if (size > limit) throw new FleetsieError('E_INPUT', `${name} has ${size} bytes; ${limit} is the limit`)
    return this.#fat.read(path)
  }

  async free(): Promise<number> {
    return this.#fat.free()
  }

  async apply(changes: readonly Change[], signal: AbortSignal): Promise<void> {
    const now = Math.floor(Date.now() / 1000)
    try {
      await this.#fat.mend()
      // What an interrupted rename left: one folder by two names.
      for (const older of olderNames.customize) {
        await this.#fat.dropTwin(`${topFolder}/${older}`, `${topFolder}/${names.customize}`)
      }
      await this.#fat.makeFolder(topFolder, now)
      for (const change of changes) {
        signal.throwIfAborted()
        await this.#change(change, now)
      }
    } finally {
      await this.#fat.finish()
    }
  }

  async #change(change: Change, now: number): Promise<void> {
    const path = `${topFolder}/${change.name}`
    switch (change.do) {
      case 'folder':
        return this.#fat.makeFolder(path, now)
      case 'write':
        return this.#fat.write(path, change.bytes, now)
      case 'remove':
        return this.#fat.remove(path)
      case 'rename':
        return this.#fat.rename(path, change.to)
    }
  }

  async close(): Promise<void> {
    const release = this.#release
    this.#release = undefined
    if (!release) return
    this.#fat.close()
    await release().catch(() => {})
  }
}
