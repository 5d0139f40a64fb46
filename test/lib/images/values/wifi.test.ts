import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Secret } from '../../../../lib/images/values/secret.ts'
import type { Wifi } from '../../../../lib/images/values/types.ts'
import { keyfile } from '../../../../lib/images/values/wifi/keyfile.ts'
import { netplanYaml } from '../../../../lib/images/values/wifi/netplan.ts'
import { rawKey } from '../../../../lib/images/values/wifi/raw-key.ts'
import { supplicantConf } from '../../../../lib/images/values/wifi/supplicant.ts'
import { missing, tool, toolEnvironment } from '../../../helpers/disks.ts'
import { needsRoot } from '../../../helpers/needs.ts'

const folder = mkdtempSync(join(tmpdir(), 'fleetsie-wifi-'))
after(() => rmSync(folder, { recursive: true }))

const ssids: Record<string, Buffer> = {
  'a plain name': Buffer.from('Home Net-2.4'),
  'digits, which could be a list of bytes': Buffer.from('12345'),
  'what looks like a list of bytes': Buffer.from('1;2;3;'),
  'blanks at both ends': Buffer.from('  x '),
  quotes: Buffer.from('a"b\'c'),
  'a dollar, a hash and a semicolon': Buffer.from('$HOME #1; ls'),
  'a backslash': Buffer.from('a\\sb\\'),
  'a line break': Buffer.from('a\n[wifi]\nssid=b'),
  'UTF-8': Buffer.from('Café 📶'),
  'bytes that are no UTF-8': Buffer.from([0xff, 0xfe, 0x80, 0x41]),
}
const passwords: Record<string, string> = {
  plain: 'correct horse',
  'blanks at both ends': '  pass word ',
  quotes: '"pass"\'word\'"',
  'a quote and a hash': 'pa"ss#word"#',
  'a dollar and a semicolon': '$HOME;reboot',
  backslashes: '\\pass\\sword\\n\\',
  'UTF-8': 'pässwörd 📶',
  'an equals sign': '=pass=word=',
  'sixty-three bytes': 'x'.repeat(63),
  'a key in hex': 'ab'.repeat(32),
}
const networks: [string, Wifi & { password: Secret }][] = [
  ...Object.entries(ssids).map(
    ([title, ssid]) => [`ssid: ${title}`, { ssid, password: new Secret('12345678') }] as const,
  ),
  ...Object.entries(passwords).map(
    ([title, password]) =>
      [`password: ${title}`, { ssid: Buffer.from('net'), password: new Secret(password) }] as const,
  ),
].map(([title, wifi]) => [title, wifi])

/** libglib reads the file; ctypes because that library is on every machine that has QEMU, and its Python module is not. */
const readKeyfile = `
import ctypes, ctypes.util, json, sys
glib = ctypes.CDLL('libglib-2.0.so.0')
glib.g_key_file_new.restype = ctypes.c_void_p
glib.g_key_file_get_string.restype = ctypes.c_char_p
file = ctypes.c_void_p(glib.g_key_file_new())
if not glib.g_key_file_load_from_file(file, sys.argv[1].encode(), 0, None): sys.exit('not a key file')
get = lambda group, key: glib.g_key_file_get_string(file, group, key, None)
print(json.dumps([list(get(b'wifi', b'ssid')), list(get(b'wifi-security', b'psk'))]))
`
const glib = spawnSync('python3', ['-c', "import ctypes; ctypes.CDLL('libglib-2.0.so.0')"]).status === 0

const uuid = 'b5a0b1d6-4b0e-4e0a-8b0e-0a0b0c0d0e0f'

for (const [title, wifi] of networks) {
  test(`GKeyFile reads back the keyfile, ${title}`, { skip: !glib && 'needs python3 and libglib' }, () => {
    const file = join(folder, 'net.nmconnection')
    writeFileSync(file, keyfile(wifi, uuid))
    const [ssid, psk] = JSON.parse(tool('python3', ['-c', readKeyfile, file])) as [number[], number[]]
    const text = Buffer.from(ssid)
    const bytes = /^(\d+;)+$/.test(text.toString())
      ? Buffer.from(text.toString().split(';').slice(0, -1).map(Number))
      : text
    assert.deepEqual(bytes, wifi.ssid)
    assert.deepEqual(Buffer.from(psk), wifi.password.reveal())
  })

  test(`NetworkManager reads back the keyfile, ${title}`, { skip: missing('nmcli') }, () => {
    const shown = tool(
      'nmcli',
      ['--offline', 'connection', 'modify', 'connection.autoconnect', 'yes'],
      keyfile(wifi, uuid),
    )
    // What it writes, it has understood.
    const value = (key: string): string =>
      (new RegExp(`^${key}=(.*)$`, 'm').exec(shown)?.[1] ?? '').replace(/\\(.)/g, (_, sign) =>
        sign === 's' ? ' ' : sign,
      )
    assert.deepEqual(Buffer.from(value('psk')), wifi.password.reveal())
    const ssid = value('ssid')
    const bytes = /^(\d+;)+$/.test(ssid)
      ? Buffer.from(ssid.split(';').slice(0, -1).map(Number))
      : Buffer.from(ssid.replaceAll('\\;', ';'))
    assert.deepEqual(bytes, wifi.ssid)
  })

  test(`wpa_supplicant reads its file, ${title}`, { skip: needsRoot || missing('wpa_supplicant') }, () => {
    const file = join(folder, 'wpa.conf')
    writeFileSync(file, supplicantConf(wifi, { country: 'CA', group: false }))
    // With an adapter that is not there it ends once it has read the file.
    const { stdout } = spawnSync(
      'wpa_supplicant',
      ['-c', file, '-i', 'nowhere0', '-D', 'wired', '-dd', '-K'],
      {
        env: toolEnvironment,
        encoding: 'latin1',
        timeout: 60_000,
      },
    )
    assert.doesNotMatch(stdout, /Line \d+: (?!\d+ - start)(failed|[Ii]nvalid|unknown)/)
    assert.match(stdout, /country='CA'/)
    assert.deepEqual(dumped(stdout, 'ssid'), wifi.ssid)
    const key = dumped(stdout, 'PSK')
    const text = dumped(stdout, 'PSK (ASCII passphrase)')
    if (text) assert.deepEqual(text, wifi.password.reveal())
    else assert.equal(key?.toString('hex'), rawKey(wifi.ssid, wifi.password))
  })

  const ssid = wifi.ssid.toString()
  const password = wifi.password.reveal().toString()
  // It takes no other arguments.
  if (!Buffer.from(ssid).equals(wifi.ssid) || password.length === 64) continue
  test(`the key is that of wpa_passphrase, ${title}`, { skip: missing('wpa_passphrase') }, () => {
    const said = tool('wpa_passphrase', [ssid], `${password}\n`)
    assert.equal(/\tpsk=([0-9a-f]{64})/.exec(said)?.[1], rawKey(wifi.ssid, wifi.password))
  })
}

/** wpa_hexdump_ascii and wpa_hexdump_key: sixteen bytes on a line. */
function dumped(text: string, name: string): Buffer | undefined {
  const lines = text.split('\n')
  const at = lines.findIndex((line) => line.startsWith(`${name} - hexdump`))
  if (at < 0) return undefined
  const count = Number(/len=(\d+)/.exec(lines[at]!)?.[1])
  const here = /\): ([0-9a-f ]+)$/.exec(lines[at]!)?.[1]
  if (here) return Buffer.from(here.replaceAll(' ', ''), 'hex')
  const rows = lines.slice(at + 1, at + 1 + Math.ceil(count / 16)).map((line) => line.trim().slice(0, 47))
  return Buffer.from(rows.join('').replaceAll(/[^0-9a-f]/g, ''), 'hex').subarray(0, count)
}

test('an open network has no key', () => {
  const open = { ssid: Buffer.from('net') }
  assert.doesNotMatch(keyfile(open, uuid), /security/)
  assert.match(supplicantConf(open, { country: undefined, group: false }).toString(), /key_mgmt=NONE/)
  assert.match(netplanYaml(open, { name: 'wlan0', country: undefined }), /"net": \{\}/)
})

test('netplan, which hands quotes on as they are, gets none', () => {
  const yaml = netplanYaml(
    { ssid: Buffer.from('net'), password: new Secret('pa"ss#word') },
    { name: 'wlan0', country: 'CA' },
  )
  assert.match(yaml, /password: "[0-9a-f]{64}"/)
  for (const ssid of ['a"b', 'a\nb']) {
    assert.throws(() => netplanYaml({ ssid: Buffer.from(ssid) }, { name: 'wlan0', country: 'CA' }), {
      code: 'E_INPUT',
    })
  }
})

test('a password that NetworkManager could not read is refused', () => {
  const password = new Secret(Buffer.from([0xff, 0xfe, 0x80, 0x41, 0x42, 0x43, 0x44, 0x45]))
  assert.throws(() => keyfile({ ssid: Buffer.from('net'), password }, uuid), {
    code: 'E_INPUT',
    message: /not UTF-8/,
  })
})
