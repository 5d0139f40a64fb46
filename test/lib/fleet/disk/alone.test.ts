/** Two processes that want the same disk. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { alone } from '../../../../lib/fleet/disk/alone.ts'
import type { DiskPlace } from '../../../../lib/fleet/disk/place.ts'
import { needs, needsRoot } from '../../../helpers/needs.ts'

const place = { name: 'sda1' } as DiskPlace
const open = (id: string): Promise<DiskPlace> => alone({ id, name: 'sda1' }, async () => place)
const taken = { code: 'E_UNSAFE', message: 'another gen is writing sda1' }
/** Of this process: other runs of this test have disks of their own. */
const disk = `test:${process.pid}`

const holder = (id: string): string => `
const { alone } = await import(${JSON.stringify(pathToFileURL('lib/fleet/disk/alone.ts').href)})
await alone({ id: '${id}', name: 'sda1' }, async () => ({}))
console.log('has it')
setInterval(() => {}, 1e9)
`

describe('a disk', () => {
  let child: ChildProcess | undefined
  afterEach(() => child?.kill('SIGKILL'))

  /** Another process that has the disk, run by `before`. */
  async function hold(id: string, before: readonly string[] = []): Promise<void> {
    const loader = pathToFileURL('node_modules/tsx/dist/loader.mjs').href
    const argv = [...before, process.execPath, '--import', loader, '--input-type=module', '-e', holder(id)]
    child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
    assert.equal(String((await once(child.stdout!, 'data'))[0]), 'has it\n')
  }

  test('is given to one at a time, and to the next when that one lets go', async () => {
    let release = (): void => {}
    await alone({ id: `${disk}:1`, name: 'sda1' }, async (unlock) => {
      release = unlock
      return place
    })
    await assert.rejects(open(`${disk}:1`), taken)
    await open(`${disk}:2`)
    release()
    assert.equal(await open(`${disk}:1`), place)
  })

  test('is free again where it could not be opened', async () => {
    const failing = alone({ id: `${disk}:3`, name: 'sda1' }, () => Promise.reject(new Error('no medium')))
    await assert.rejects(failing, { message: 'no medium' })
    assert.equal(await open(`${disk}:3`), place)
  })

  test('is free again when who had it was killed', async () => {
    await hold(disk)
    await assert.rejects(open(disk), taken)
    const closed = once(child!, 'close')
    child!.kill('SIGKILL')
    await closed
    assert.equal(await open(disk), place)
  })

  test("is another user's as well", { skip: needsRoot || needs('setpriv') }, async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    await hold(`${disk}:4`, nobody)
    await assert.rejects(open(`${disk}:4`), taken)
  })
})
