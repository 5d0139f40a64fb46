import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { describe } from '../../../../lib/images/values/describe.ts'
import { readSets, valuesOfSets } from '../../../../lib/images/values/sets.ts'
import type { DeviceValues } from '../../../../lib/images/values/types.ts'
import { missing } from '../../../helpers/disks.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-sets-'))
after(() => rmSync(folder, { recursive: true }))

async function* stdin(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text)
}

async function read(sets: string[], text = ''): Promise<{ values: DeviceValues; warnings: string[] }> {
  const found = await readSets(sets, { cwd: folder, stdin: stdin(text) })
  return { values: valuesOfSets(found), warnings: found.warnings }
}

const marker = 'MARKERmarker42'

test('a value comes from the command line, from a file or from stdin, without the line break at its end', async () => {
  writeFileSync(join(folder, 'wifi'), `${marker}\r\n`)
  const { values, warnings } = await read(
    ['hostname=pi-7', 'wifi-ssid=@@home', 'wifi-password=@wifi', 'password=@-'],
    `${marker}=x\n`,
  )
  assert.equal(values.hostname, 'pi-7')
  assert.equal(values.wifi?.ssid.toString(), '@home')
  assert.equal(values.wifi?.password?.reveal().toString(), marker)
  assert.equal(values.password?.reveal().toString(), `${marker}=x`)
  assert.deepEqual(warnings, [])
})

test('a secret on the command line is taken with a warning that does not show it', async () => {
  const { warnings } = await read([`password=${marker}`, 'wifi-ssid=x', `wifi-password=${marker}`])
  assert.equal(warnings.length, 2)
  assert.match(warnings[0]!, /ps.*@FILE.*@-/)
  assert.doesNotMatch(warnings.join(), new RegExp(marker))
})

test('values in words, in JSON and in a debugger show no secret', async () => {
  const { values } = await read([`password=${marker}`, 'wifi-ssid=x', `wifi-password=${marker}`])
  assert.deepEqual(describe(values), ['a password', 'Wi-Fi "x" with a password'])
  for (const text of [
    JSON.stringify(values),
    inspect(values, { depth: 9, showHidden: true }),
    `${values.password}`,
  ]) {
    assert.doesNotMatch(text, new RegExp(marker))
    assert.doesNotMatch(text, new RegExp([...Buffer.from(marker)].join('.')))
  }
})

for (const [title, sets, code, message] of [
  ['a name that is none', ['hostnam=x'], 'E_USAGE', /hostnam: there is no such value/],
  ['no name at all', [marker], 'E_USAGE', /takes NAME=VALUE/],
  ['a name twice', ['hostname=a', 'hostname=b'], 'E_USAGE', /twice/],
  ['stdin twice', ['password=@-', 'hostname=@-'], 'E_USAGE', /stdin is password already/],
  ['a file that is not there', ['password=@gone'], 'E_INPUT', /ENOENT/],
  ['a folder', ['password=@.'], 'E_INPUT', /EISDIR/],
  ['a file that does not end', ['password=@/dev/zero'], 'E_INPUT', /more than/],
  ['nothing', ['hostname='], 'E_INPUT', /empty/],
  ['a host name with a blank', ['hostname=a b'], 'E_INPUT', /no host name/],
  ['a host name that begins with a hyphen', ['hostname=-a'], 'E_INPUT', /no host name/],
  ['a host name with an underscore', ['hostname=pi_7'], 'E_INPUT', /no host name/],
  ['a host name of 65 letters', [`hostname=${'a'.repeat(33)}.${'b'.repeat(31)}`], 'E_INPUT', /no host name/],
  ['localhost', ['hostname=localhost'], 'E_INPUT', /no host name/],
  ['a host name with a line break', ['hostname=a\nb'], 'E_INPUT', /no host name/],
  ['a user in capitals', ['user=Anna'], 'E_INPUT', /no user name/],
  ['a user with a colon', ['user=a:b'], 'E_INPUT', /no user name/],
  ['a password with a line break', [`password=${marker}\nx`], 'E_INPUT', /line break/],
  ['a password that openssl would cut', [`password=${marker}${'x'.repeat(256)}`], 'E_INPUT', /256/],
  ['an ssid of 33 bytes', [`wifi-ssid=${'é'.repeat(17)}`], 'E_INPUT', /1 to 32 bytes; this has 34/],
  ['a short Wi-Fi password', ['wifi-ssid=x', 'wifi-password=MARKER4'], 'E_INPUT', /8 to 63 bytes/],
  [
    'a Wi-Fi password of 64 that is not hex',
    ['wifi-ssid=x', `wifi-password=${marker.padEnd(64, 'z')}`],
    'E_INPUT',
    /8 to 63/,
  ],
  [
    'a Wi-Fi password with a line break',
    ['wifi-ssid=x', `wifi-password=${marker}\nx`],
    'E_INPUT',
    /line break/,
  ],
  ['a Wi-Fi password without a network', [`wifi-password=${marker}`], 'E_INPUT', /wifi-ssid is missing/],
  ['a country by its name', ['wifi-country=Canada'], 'E_INPUT', /no country/],
  ['a time zone that leads elsewhere', ['timezone=../../etc/passwd'], 'E_INPUT', /no time zone/],
  ['a key of an unknown kind', ['ssh-key=ssh-dss AAAA'], 'E_INPUT', /no public ssh key/],
  [
    'a key that is cut off',
    ['ssh-key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWR'],
    'E_INPUT',
    /no public ssh key/,
  ],
  ['a NUL byte', ['hostname=a\0b'], 'E_INPUT', /NUL/],
] as const) {
  test(`refused, and the secret not shown: ${title}`, async () => {
    await assert.rejects(read([...sets]), (error: Error & { code: string; hint?: string }) => {
      assert.equal(error.code, code)
      assert.match(error.message, message)
      assert.doesNotMatch(inspect(error, { depth: 9 }).replace(/^\s+at .*$/gm, ''), /MARKER/)
      return true
    })
  })
}

test('ssh-keygen and we agree on keys', { skip: missing('ssh-keygen') }, async () => {
  for (const [type, bits] of [
    ['ed25519', '256'],
    ['rsa', '2048'],
    ['ecdsa', '256'],
    ['ecdsa', '384'],
    ['ecdsa', '521'],
  ] as const) {
    const file = join(folder, `key-${type}-${bits}`)
    execFileSync('ssh-keygen', ['-q', '-t', type, '-b', bits, '-N', '', '-C', 'a "b" c', '-f', file])
    const line = readFileSync(`${file}.pub`, 'utf8').trim()
    const options = `command="echo \\"a b\\"",no-pty ${line}`
    writeFileSync(join(folder, 'keys'), `# a comment\n\n${line}\r\n${options}\n${line}\n`)
    const { values } = await read(['ssh-key=@keys'])
    assert.deepEqual(values.sshKeys, [line, options])
    writeFileSync(join(folder, 'both'), `${values.sshKeys.join('\n')}\n`)
    assert.equal(
      execFileSync('ssh-keygen', ['-lf', join(folder, 'both')], { encoding: 'utf8' })
        .trim()
        .split('\n').length,
      2,
    )
    await assert.rejects(read([`ssh-key=@key-${type}-${bits}`]), (error: Error & { code: string }) => {
      assert.equal(error.code, 'E_UNSAFE')
      assert.doesNotMatch(inspect(error), /BEGIN/)
      return true
    })
  }
})
