import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { after, describe, test } from 'node:test'
import type { BuildStage } from '../../lib/engine/stage.ts'
import { unitFile } from '../../lib/images/os/units.ts'
import { usbBundle } from '../../stages/usb-bundle.ts'
import { buildContext } from '../helpers/context.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-bundle-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const stage = usbBundle.stage as BuildStage
const sha256 = async (file: string): Promise<string> =>
  createHash('sha256').update(readFileSync(file)).digest('hex')

/** Runs it over a project with a folder `customize`; answers with the files that it made. */
async function bundle(fill: (at: string) => void): Promise<Map<string, string>> {
  const cwd = mkdtempSync(join(folder, 'project-'))
  mkdirSync(join(cwd, 'customize'))
  fill(join(cwd, 'customize'))
  const options = { customize: 'customize' }
  const sources = await stage.sources!(options, { cwd, sha256, note: () => {} })
  const context = await buildContext(options, { sources })
  try {
    await stage.run(context)
    const made = readdirSync(context.out, { recursive: true, withFileTypes: true })
    const paths = made.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
    return new Map(paths.map((path) => [relative(context.out, path), readFileSync(path, 'utf8')]))
  } finally {
    await context.remove()
  }
}

describe('usb-bundle makes the part of a disk that is no secret', () => {
  test('of our own files and a folder of the project', async () => {
    const files = await bundle((at) => {
      mkdirSync(join(at, 'packages'))
      writeFileSync(join(at, 'setup'), 'echo hello\n', { mode: 0o755 })
      writeFileSync(join(at, 'packages/a.deb'), 'deb')
    })
    assert.deepEqual([...files.keys()].sort(), [
      ...['customize/packages/a.deb', 'customize/setup', 'ssh-tunnel.service', 'ssh_tunnel.sh', 'wifi.txt'],
    ])
    assert.equal(files.get('ssh_tunnel.sh'), readFileSync(unitFile('ssh_tunnel.sh'), 'utf8'))
    assert.equal(files.get('customize/setup'), 'echo hello\n')
    assert.match(files.get('wifi.txt')!, /^replace_with_wifi_network_name\r\n/)
  })

  const refused: [string, (at: string) => void, RegExp][] = [
    ['a link', (at) => symlinkSync('/etc/passwd', join(at, 'setup')), /is a link, which a FAT cannot hold/],
    ['a name that no FAT takes', (at) => writeFileSync(join(at, 'a:b'), ''), /FAT cannot hold/],
    [
      'a private key',
      (at) => {
        const { privateKey } = generateKeyPairSync('ed25519')
        writeFileSync(join(at, 'key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
      },
      /private key/,
    ],
  ]
  for (const [what, fill, message] of refused) {
    test(`${what} is refused`, () => assert.rejects(bundle(fill), { name: 'FleetsieError', message }))
  }
})
