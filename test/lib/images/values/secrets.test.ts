import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Run } from '../../../../lib/engine/process.ts'
import { applyValues } from '../../../../lib/images/values/apply-values.ts'
import { withSecretFolder } from '../../../../lib/images/values/secret-folder.ts'
import { readSets, valuesOfSets } from '../../../../lib/images/values/sets.ts'
import { missing } from '../../../helpers/disks.ts'
import { piFiles, RootDisk } from '../../../helpers/root-disks.ts'

const marker = 'PlantedMarker'
const folders = (): string[] =>
  readdirSync('/dev/shm').filter((name) => name.startsWith(`fleetsie-values-${process.pid}-`))

/** Whether a file below `folder` holds the marker. */
function holders(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name)
    return statSync(path).isFile() && readFileSync(path).includes(marker)
  })
}

test('a secret is on the card, and in no argument, environment, log or temporary file', {
  skip:
    missing('debugfs', 'mke2fs', 'mkfs.fat', 'mcopy', 'openssl') ||
    (!existsSync('/dev/shm') && 'needs /dev/shm'),
}, async () => {
  const disk = await RootDisk.make(piFiles, { 'cmdline.txt': 'quiet\n' })
  try {
    const card = join(disk.folder, 'card')
    mkdirSync(card)
    writeFileSync(join(disk.folder, 'secret'), `${marker}-file`)
    const sets = await readSets(
      ['user=anna', `password=${marker}-password`, 'wifi-ssid=x', 'wifi-password=@secret', 'wifi-country=CA'],
      { cwd: disk.folder, stdin: [] as never },
    )
    writeFileSync(join(disk.folder, 'secret'), '')
    const seen: string[] = []
    let running = true
    const watching = (async () => {
      while (running) {
        for (const pid of readdirSync('/proc').filter(
          (name) => /^\d+$/.test(name) && Number(name) !== process.pid,
        )) {
          try {
            const line =
              readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1')
            if (line.includes(marker)) seen.push(line)
          } catch {
            // It has ended, or is another user's.
          }
        }
        await setImmediate()
      }
    })()
    const run: Run = async (command, args, options) => {
      const said = [command, ...args, options?.cwd, ...Object.values(options?.env ?? {})].join(' ')
      if (said.includes(marker)) seen.push(said)
      for (const name of folders()) assert.equal(statSync(join('/dev/shm', name)).mode & 0o777, 0o700)
      const result = await disk.run(command, args, options)
      if (`${result.stderr}${result.stdout}`.includes(marker)) seen.push(`${command} prints it`)
      return result
    }
    await applyValues({ run, volumes: disk.volumes, values: valuesOfSets(sets) })
    running = false
    await watching
    assert.deepEqual(seen, [])
    assert.deepEqual(folders(), [])
    assert.deepEqual(holders(disk.folder), ['disk.img'])
    assert.match(
      disk.cat('etc/NetworkManager/system-connections/fleetsie-wifi.nmconnection'),
      /PlantedMarker-file/,
    )
    assert.ok(!disk.bytes().includes(`${marker}-password`), 'of the password, only the hash')
  } finally {
    disk.remove()
  }
})

test('what a killed process left is swept by the next', {
  skip: !existsSync('/dev/shm') && 'needs /dev/shm',
}, async () => {
  const module = new URL('../../../../lib/images/values/secret-folder.ts', import.meta.url).href
  const loader = pathToFileURL(join(process.cwd(), 'node_modules/tsx/dist/loader.mjs')).href
  const code = `
    import { writeFileSync } from 'node:fs'
    import { withSecretFolder } from ${JSON.stringify(module)}
    await withSecretFolder(async (folder) => {
      writeFileSync(folder + '/secret', 'x')
      process.stdout.write(folder)
      process.kill(process.pid, 'SIGKILL')
    })`
  const { stdout, signal } = spawnSync(
    process.execPath,
    ['--import', loader, '--input-type=module', '--eval', code],
    { encoding: 'utf8' },
  )
  assert.equal(signal, 'SIGKILL')
  assert.ok(existsSync(join(stdout, 'secret')))
  await withSecretFolder(async (outer) => {
    assert.ok(!existsSync(stdout), 'the dead one is gone')
    await withSecretFolder(async () => assert.ok(existsSync(outer), 'one in use is not'))
  })
  assert.deepEqual(folders(), [])
})
